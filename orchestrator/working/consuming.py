"""Working: Celery's consumer without what dreamline has no use for."""

from __future__ import annotations

from typing import Any

from celery.worker import consumer

_Consumer: Any = consumer.Consumer


class LookConsumer(_Consumer):  # type: ignore[misc]
    """Takes wake-ups from queues.

    Celery meets a quorum queue by declaring 28 queues more, in which tasks with a time would wait. Here a time
    is a column of a row. And whatever a transport raises is a lost connection, made again: bytes in a queue that
    are no message, or a folder of messages that is gone, must not end a worker, who finds its work without them.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.connection_errors: tuple[type[Exception], ...] = (*self.connection_errors, Exception)

    class Blueprint(_Consumer.Blueprint):  # type: ignore[misc]
        """The steps by which it starts."""

        default_steps: tuple[str, ...] = tuple(
            step for step in _Consumer.Blueprint.default_steps if not step.endswith(":DelayedDelivery")
        )
