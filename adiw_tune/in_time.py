"""A limit for calls that have none of their own."""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

T = TypeVar("T")


def in_time(call: Callable[[], T], seconds: float) -> T:
    """What ``call`` returns or raises, or TimeoutError; then it is left to itself, in a thread.

    Ctrl-C is the caller's: Python tells only the main thread. So what ``call`` raises, SystemExit
    and KeyboardInterrupt included, is its own.
    """
    ended: Future[T] = Future()

    def work() -> None:
        try:
            ended.set_result(call())
        except BaseException as error:
            ended.set_exception(error)

    threading.Thread(target=work, daemon=True).start()
    try:
        return ended.result(seconds)
    except TimeoutError:
        if ended.done():  # by a TimeoutError of its own
            raise
        raise TimeoutError(f"no answer within {seconds:.0f} s") from None
