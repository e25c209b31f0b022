"""Answers of S3 that a user has to act on: each one sentence with the remedy, and never a key."""

import pytest

from gkm import storage
from gkm.errors import InputError

PLACE = "s3://photos/dpd"


def _refusal(status, code, extra=""):
    xml = f"<Error><Code>{code}</Code><Message>of hidden\n things</Message>{extra}</Error>"
    return status, {"Content-Type": "application/xml"}, xml.encode()


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (_refusal(400, "ExpiredToken"), "the credentials have expired; log in again"),
        (_refusal(403, "InvalidAccessKeyId"), "correct AWS_ACCESS_KEY_ID"),
        (_refusal(403, "RequestTimeTooSkewed"), "this machine's clock differs from the server's; set it right"),
        (_refusal(400, "InvalidToken"), "correct or unset AWS_SESSION_TOKEN"),
        (
            _refusal(400, "AuthorizationHeaderMalformed", "<Region>eu-west-1</Region>"),
            "set AWS_DEFAULT_REGION=eu-west-1",
        ),
        (_refusal(403, "AccessDenied"), "access is denied; these credentials need the right s3:ListBucket"),
        (_refusal(404, "NoSuchBucket"), "there is no bucket photos at http://127.0.0.1"),
        (_refusal(507, "InsufficientStorage"), "the server is full; make room there"),
        (
            _refusal(400, "Surprise"),
            "the server refuses ListObjectsV2 (Surprise: of hidden things); correct it on the server",
        ),
    ],
)
def test_a_refusal_says_what_to_mend(answers, answer, sentence):
    answers(answer)
    with pytest.raises(InputError) as raised:
        storage.list_files(PLACE)
    assert str(raised.value).startswith(f"{PLACE}: ")
    assert sentence in str(raised.value)
    assert "hidden-" not in str(raised.value)


def test_a_bucket_that_moved_to_another_region_names_it(answers):
    status, headers, body = _refusal(301, "PermanentRedirect", "<Endpoint>other</Endpoint>")
    answers((status, {**headers, "x-amz-bucket-region": "ap-south-1"}, body))
    with pytest.raises(InputError, match="the bucket is in another region; set AWS_DEFAULT_REGION=ap-south-1"):
        storage.write_bytes(PLACE, b"x")


def test_the_reason_of_a_bodiless_refusal_is_asked_for(answers):
    log = answers((400, {}, b""), _refusal(400, "ExpiredToken"))
    with pytest.raises(InputError, match="the credentials have expired"):
        storage.exists(PLACE)
    assert log[-1] == "GET"
