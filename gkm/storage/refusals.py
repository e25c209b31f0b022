"""What boto3 raised in; an InputError that says what to mend, and no secret, out."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    CredentialRetrievalError,
    NoCredentialsError,
    ParamValidationError,
    PartialCredentialsError,
    ProfileNotFound,
    SSLError,
    SSOError,
    TokenRetrievalError,
    UnauthorizedSSOTokenError,
)

from gkm.errors import InputError

Location = str | Path

_EXPIRED = "the credentials have expired; log in again, or fetch new ones into AWS_SESSION_TOKEN and its two keys"
_KEYS = {
    "InvalidAccessKeyId": "the server does not know the access key; correct AWS_ACCESS_KEY_ID, or AWS_PROFILE",
    "SignatureDoesNotMatch": "the secret key does not fit the access key; correct AWS_SECRET_ACCESS_KEY",
    "InvalidToken": "the server refuses the session token; correct or unset AWS_SESSION_TOKEN",
    "ExpiredToken": _EXPIRED,
    "ExpiredTokenException": _EXPIRED,
    "TokenRefreshRequired": _EXPIRED,
    "RequestExpired": _EXPIRED,
    "RequestTimeTooSkewed": "this machine's clock differs from the server's; set it right",
    "InvalidBucketName": "S3 knows no such bucket names; correct the location",
    "EntityTooLarge": "the file is too large for the server; make smaller shards",
    "InsufficientStorage": "the server is full; make room there",
    "QuotaExceeded": "the server's quota is used up; make room there",
}
_REGION = {"PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException", "301"}
_DENIED = {"AccessDenied", "AllAccessDisabled", "AccountProblem", "403"}
_RIGHTS = {
    "GetObject": "s3:GetObject",
    "HeadObject": "s3:GetObject",
    "ListObjectsV2": "s3:ListBucket",
    "DeleteObjects": "s3:DeleteObject",
}


def explained(location: Location, error: Exception, client: Any) -> Exception:
    """The sentence for `error`, which `client` (None before there is one) met at `location`."""
    if isinstance(error, ClientError):
        return InputError(f"{location}: {_refusal(location, error, client)}")
    match error:
        case NoCredentialsError():
            what = "no credentials for S3 were found; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"
        case PartialCredentialsError():
            what = "the credentials for S3 lack a part; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY both"
        case UnauthorizedSSOTokenError() | SSOError() | TokenRetrievalError():
            what = _EXPIRED
        case ProfileNotFound() | CredentialRetrievalError():
            what = f"{_sentence(error)}; correct AWS_PROFILE and ~/.aws/config"
        case SSLError():
            what = "the server's certificate is not accepted; correct AWS_ENDPOINT_URL, or set AWS_CA_BUNDLE"
        case ParamValidationError():
            what = "is no valid name in S3; write it as s3://bucket/prefix"
        case ValueError():  # botocore's, for an endpoint that is no address
            what = f"{_sentence(error)}; write AWS_ENDPOINT_URL as http://host:port"
        case BotoCoreError():
            what = f"{_sentence(error)}; correct the settings of S3 in the environment or ~/.aws"
        case _:
            return error
    return InputError(f"{location}: {what}")


def _refusal(location: Location, error: ClientError, client: Any) -> str:
    body = error.response["Error"]
    code = str(body.get("Code", ""))
    bucket = urlsplit(str(location)).netloc
    endpoint = client.meta.endpoint_url if client is not None else "the server"
    if code in _KEYS:
        return _KEYS[code]
    if code in _DENIED:
        right = _RIGHTS.get(error.operation_name, "s3:PutObject")
        return f"access is denied; these credentials need the right {right} there"
    if code in _REGION:
        headers = error.response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
        region = body.get("Region") or headers.get("x-amz-bucket-region") or "its own"
        return f"the bucket is in another region; set AWS_DEFAULT_REGION={region}"
    match code:
        case "NoSuchBucket":
            return f"there is no bucket {bucket} at {endpoint}; create it, or correct the location"
        case "NoSuchKey" | "404":
            return "does not exist; correct the location"
    reason = f"{code}: {_sentence(body.get('Message', ''))}"
    return f"the server refuses {error.operation_name} ({reason}); correct it on the server"


def _sentence(text: object) -> str:
    return " ".join(str(text).split()).rstrip(".")[:300]
