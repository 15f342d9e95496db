"""Marks of a command line that nobody parses."""

from typing import Any


class _Anything:
    """Takes every attribute, call and subscript."""

    def __getattr__(self, name: str) -> "_Anything":
        return self

    def __call__(self, *args: Any, **kwargs: Any) -> "_Anything":
        return self

    def __getitem__(self, item: Any) -> Any:
        return item


conf = extras = _Anything()
