"""The last room: what people approved leaves the house as files, each with its marking and its evidence."""
