"""What clients sign wrongly, or cannot send at all: by client and case."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Deviation:
    """Why a request is refused. If the listener names causes, one of these is among them; any, if these are none."""

    why: str
    code: str = "SignatureDoesNotMatch"
    causes: tuple = ()


def _each(why: str, *names: str, causes: tuple = ()) -> dict:
    return {name: Deviation(why, causes=causes) for name in names}


def _unknown(what: str, code: str, s3_code: str) -> dict:
    services = ("sts", "ec2", "sqs", "dynamodb", "cloudwatch", "lambda")
    why, causes = f"the server does not know the {what}", ("unexplained",) if what == "secret" else ()
    return {f"unknown {what}: {service}": Deviation(why, code, causes) for service in services} | {
        f"unknown {what}: s3": Deviation(why, s3_code, causes)
    }


DEVIATIONS = {
    "boto3": _unknown("secret", "SignatureDoesNotMatch", "SignatureDoesNotMatch")
    | _unknown("access key id", "InvalidClientTokenId", "InvalidAccessKeyId"),
    "botocore": _each(
        "the query is signed as it is on the wire, neither decoded nor encoded",
        "query: space as +",
        "query: %2F and raw /",
        "query: lower-case escape",
        "query: = in a value",
        "query: !*'():@$,;",
        causes=("query_verbatim",),
    )
    | _each("no-break spaces are trimmed from a header's value", "header: no-break space"),
    "awscurl": _each(
        "what is percent-encoded in the query is encoded once more",
        "query: space as %20",
        "query: %2B",
        "query: %2F and raw /",
        "query: unicode",
        "query: %3D and %26",
        "query: %25",
        "s3 list",
        causes=("query_encoded_twice",),
    )
    | _each("a `+` in the query is signed as `%2B`", "query: space as +", causes=("query_plus_kept",))
    | _each("a value in the query is cut at its second `=`", "query: = in a value")
    | _each("the path is not normalized", "path: //", causes=("path_not_normalized",))
    | _each(
        "the path is signed as given; what is sent has its dot segments removed",
        "path: dots",
        "path: final dot segment",
        "s3 key: dots",
    )
    | _each(
        "the path is signed as given; what is sent has its escapes in upper case",
        "path: lower-case escape",
        "s3 key: lower-case escape",
    )
    | _each(
        "the query is signed as given and encoded once more; what is sent has its escapes in upper case",
        "query: lower-case escape",
    )
    | _each(
        "the S3 path is encoded twice",
        "s3 key: space",
        "s3 key: encoded =(1)",
        "s3 key: %2B",
        "s3 key: %2F",
        "s3 key: unicode",
        "s3 key: %25",
        causes=("path_encoded_twice",),
    )
    | _each(
        "spaces inside a header's value are not folded",
        "header: inner spaces",
        "s3 PUT binary",
        causes=("headers_unfolded",),
    ),
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
        causes=("path_encoded_once", "path_verbatim", "path_not_normalized"),
    )
    | _each(
        "the query is signed in the order it is sent",
        "ec2 filters out of order",
        "ec2 prefixes",
        "query: repeated name",
        "query: unicode",
        "s3 list",
        "s3 query: repeated name",
        causes=("query_unsorted",),
    )
    | _each(
        "the query is signed as it is on the wire, neither decoded nor encoded",
        "query: space as +",
        "query: %2F and raw /",
        "query: lower-case escape",
        "query: = in a value",
        "query: !*'():@$,;",
        causes=("query_verbatim",),
    )
    | _each(
        "a query's name without a value is signed without its `=`",
        "query: empty values",
        "s3 sub-resource",
        causes=("query_equals_missing",),
    )
    | {
        "header: repeated": Deviation("repeated headers are named twice, each on its own line", "IncompleteSignature"),
        "s3 GET without x-amz-content-sha256": Deviation("S3 needs `x-amz-content-sha256`", "InvalidRequest"),
    },
    "aws4": _each(
        "of a repeated name in an S3 query only the first value is signed",
        "s3 query: repeated name",
        causes=("query_repeats_dropped",),
    )
    | _each("a `+` in an S3 path is signed as a space", "s3 key: raw +@!"),
    "aws4fetch": _each(
        "of a repeated name in an S3 query only the first value is signed",
        "s3 query: repeated name",
        causes=("query_repeats_dropped",),
    )
    | _each("a `+` in an S3 path is signed as a space", "s3 key: raw +@!"),
    "requests-aws4auth": _each("what follows a `;` in the path is not signed", "path: !*'@:$,;+")
    | _each("spaces between quotes are not folded", "header: quotes, commas and colons")
    | _each("an S3 path is normalized", "s3 key: //", causes=("path_normalized",)),
    "awscrt": _each("a `+` in the query is signed as `%2B`", "query: space as +", causes=("query_plus_kept",)),
}

# It has no way to send these.
PRESIGN = "presign"
CANNOT = {
    "awscurl": {PRESIGN, "header: repeated", "header: quotes, commas and colons"},
    "curl": {PRESIGN},
    "requests-aws4auth": {PRESIGN, "header: repeated"},
}
