"""Changes of the tables, in order; run by `dreamline db upgrade`."""
