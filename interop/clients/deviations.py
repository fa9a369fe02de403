"""What clients sign wrongly, or cannot send at all: by client and case."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Deviation:
    """Why a request is refused; `cause` is a pattern for the causes that the listener names, if it does."""

    why: str
    code: str = "SignatureDoesNotMatch"
    cause: str = ""


def _each(why: str, *names: str, cause: str = "") -> dict:
    return {name: Deviation(why, cause=cause) for name in names}


def _unknown(what: str, codes: dict) -> dict:
    return {
        f"unknown {what}: {service}": Deviation(f"the server does not know the {what}", code)
        for service, code in codes.items()
    }


_QUERY_FORM = ("sts", "ec2")
_JSON_FORM = ("sqs", "dynamodb", "cloudwatch", "lambda")

DEVIATIONS = {
    "boto3": _unknown(
        "secret",
        dict.fromkeys(_QUERY_FORM, "SignatureDoesNotMatch")
        | dict.fromkeys(_JSON_FORM, "InvalidSignatureException")
        | {"s3": "SignatureDoesNotMatch"},
    )
    | _unknown(
        "access key id",
        dict.fromkeys(_QUERY_FORM, "InvalidClientTokenId")
        | dict.fromkeys(_JSON_FORM, "UnrecognizedClientException")
        | {"s3": "InvalidAccessKeyId"},
    ),
    "botocore": _each(
        "the query is signed as it is on the wire, neither decoded nor encoded",
        "query: space as +",
        "query: %2F and raw /",
        "query: lower-case escape",
        "query: = in a value",
        "query: !*'():@$,;",
    )
    | _each("no-break spaces are trimmed from a header's value", "header: no-break space"),
    "awscurl": _each(
        "what is percent-encoded in the query is encoded once more",
        "query: space as %20",
        "query: %2B",
        "query: %2F and raw /",
        "query: unicode",
        "query: lower-case escape",
        "query: %3D and %26",
        "query: %25",
        "s3 list",
    )
    | _each("a `+` in the query is signed as `%2B`", "query: space as +")
    | _each("a value in the query is cut at its second `=`", "query: = in a value")
    | _each("the path is not normalized", "path: //")
    | _each(
        "the path is signed as given; what is sent has its dot segments removed",
        "path: dots",
        "path: final dot segment",
        "s3 key: dots",
    )
    | _each("the path is signed as given; what is sent has its escapes in upper case", "path: lower-case escape")
    | _each(
        "the S3 path is encoded twice",
        "s3 key: space",
        "s3 key: encoded =(1)",
        "s3 key: %2B",
        "s3 key: %2F",
        "s3 key: unicode",
        "s3 key: %25",
        "s3 key: lower-case escape",
    )
    | _each("spaces inside a header's value are not folded", "header: inner spaces", "s3 PUT binary"),
    "curl": _each(
        "the path is signed as it is on the wire, neither normalized nor encoded",
        "lambda arn in the path",
        "path: space",
        "path: =(1)",
        "path: !*'@:$,;+",
        "path: //",
        "path: dots",
        "path: final dot segment",
        "path: unicode",
        "path: %25",
        "path: %2F",
        "path: lower-case escape",
    )
    | _each(
        "the query is signed in the order it is sent",
        "ec2 filters out of order",
        "ec2 prefixes",
        "query: repeated name",
        "s3 list",
        "s3 query: repeated name",
    )
    | _each(
        "the query is signed as it is on the wire, neither decoded nor encoded",
        "query: space as +",
        "query: %2F and raw /",
        "query: lower-case escape",
        "query: = in a value",
        "query: !*'():@$,;",
    )
    | _each("a query's name without a value is signed without its `=`", "query: empty values", "s3 sub-resource")
    | _each("the query is signed in the order it is sent", "query: unicode")
    | {
        "header: repeated": Deviation(
            "repeated headers are signed as separate lines and named twice", "IncompleteSignature"
        )
    }
    | {"s3 GET without x-amz-content-sha256": Deviation("S3 needs `x-amz-content-sha256`", "InvalidRequest")},
    "aws4": _each("of a repeated name in an S3 query only the first value is signed", "s3 query: repeated name")
    | _each("a `+` in an S3 path is signed as a space", "s3 key: raw +@!"),
    "aws4fetch": _each("of a repeated name in an S3 query only the first value is signed", "s3 query: repeated name")
    | _each("a `+` in an S3 path is signed as a space", "s3 key: raw +@!"),
    "requests-aws4auth": _each("what follows a `;` in the path is not signed", "path: !*'@:$,;+")
    | _each("spaces between quotes are not folded", "header: quotes, commas and colons")
    | _each("an S3 path is normalized", "s3 key: //"),
    "awscrt": _each("a `+` in the query is signed as `%2B`", "query: space as +"),
}

# It has no way to send these.
PRESIGN = "presign"
CANNOT = {
    "awscurl": {PRESIGN, "header: repeated", "header: quotes, commas and colons"},
    "curl": {PRESIGN},
    "requests-aws4auth": {PRESIGN, "header: repeated"},
}
