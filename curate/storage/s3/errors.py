"""Failures of an object store as errors that contain no part of a key."""

import errno
import os
import re
from urllib.parse import urlsplit

from curate.errors import (
    CurateError,
    InvalidInput,
    MissingDependency,
    ServiceRefused,
    ServiceUnavailable,
    StorageFailed,
    WorkspaceUnusable,
)

_NO_BUCKET = re.compile(r"NoSuchBucket|bucket does not exist")
_NO_KEY = re.compile(
    r"(No|Partial)Credentials|CredentialsNotLoaded|credentials? .{0,20}not |no credentials|169\.254\.169\.254"
)
_REFUSED = re.compile(
    r"AccessDenied|InvalidAccessKeyId|SignatureDoesNotMatch|ExpiredToken|InvalidToken|PermissionError|\b40[13]\b"
)
_BAD_NAME = re.compile(r"InvalidBucketName|Invalid bucket name|Invalid endpoint|ParamValidation")
_PLAIN_HTTP = "URL scheme is not allowed"
_GONE = re.compile(
    r"EndpointConnection|ConnectTimeout|ReadTimeout|ConnectionClosed|ConnectionError|HTTPClient|FSTimeout|TimeoutError"
    r"|error sending request|operation timed out|retry_timeout|SlowDown|ServiceUnavailable|InternalError|\b50[0-4]\b"
)


def endpoint() -> str:
    """Return the host of the object store; empty for the provider's own."""
    return urlsplit(os.environ.get("AWS_ENDPOINT_URL") or "").netloc.rpartition("@")[2]


def to_error(url: str, error: BaseException) -> CurateError:
    """Return the error to raise for a failure of the object store at ``url``."""
    if described := to_error_in_text(url, f"{type(error).__name__} {error_code(error)} {error}"):
        return described
    if getattr(error, "errno", None) == errno.EBUSY:
        return _unavailable(_with_endpoint(url))
    reason = error_code(error) or getattr(error, "strerror", None) or type(error).__name__
    return StorageFailed(f"cannot use {_with_endpoint(url)}: {reason}", hint="check the store's log, then run again")


def to_error_in_text(url: str, text: str) -> CurateError | None:
    """Return the error for what a client library says of the store at ``url``; None if no known failure is in it."""
    address = _with_endpoint(url)
    if _NO_BUCKET.search(text):
        return WorkspaceUnusable(
            f"there is no bucket {_with_endpoint(urlsplit(url).netloc)}",
            hint="create it, name another one with -w, or set AWS_ENDPOINT_URL for a server of your own",
        )
    if _NO_KEY.search(text):
        return MissingDependency(
            f"no key to {address} was found",
            hint="set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (and AWS_ENDPOINT_URL for a server of your own)",
        )
    if _PLAIN_HTTP in text:
        return InvalidInput(
            f"the connection to {address} is not encrypted",
            hint="set AWS_ALLOW_HTTP=true if that is intended, or use https://",
        )
    if _BAD_NAME.search(text):
        return InvalidInput(f"{address} is not a valid address", hint="check -w and AWS_ENDPOINT_URL")
    if _REFUSED.search(text):
        return ServiceRefused(
            f"{address} refuses this key",
            hint="check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, and that the key may list, read, write and delete",
        )
    return _unavailable(address) if _GONE.search(text) else None


def error_code(error: BaseException) -> str:
    """Return the store's own code for a failure, such as NoSuchKey; empty if it gave none."""
    for cause in (error, error.__cause__):
        response = getattr(cause, "response", None)
        if isinstance(response, dict):
            return str(response.get("Error", {}).get("Code", ""))
    return ""


def is_missing_bucket(error: BaseException) -> bool:
    """Whether the whole bucket does not exist."""
    return _NO_BUCKET.search(f"{error_code(error)} {error}") is not None


def _with_endpoint(address: str) -> str:
    return f"{address} at {endpoint()}" if endpoint() else address


def _unavailable(address: str) -> ServiceUnavailable:
    return ServiceUnavailable(
        f"{address} does not answer", hint="check the network and AWS_ENDPOINT_URL, then run again: nothing is lost"
    )
