"""Working: Celery's consumer without what dreamline has no use for."""

from __future__ import annotations

from celery.worker.consumer import Consumer


class LookConsumer(Consumer):
    """Takes wake-ups from queues.

    Celery meets a quorum queue by declaring 28 queues more, in which tasks with a time would wait. Here a time
    is a column of a row.
    """

    class Blueprint(Consumer.Blueprint):
        """The steps by which it starts."""

        default_steps: tuple[str, ...] = tuple(
            step for step in Consumer.Blueprint.default_steps if not step.endswith(":DelayedDelivery")
        )
