//! The ways in which clients go wrong, and what to tell people of them.

use std::fmt;

/// One way in which what a client signed departs from what arrived or from the rules.
///
/// [`Display`](fmt::Display) says what was signed, what the rule is and what to do, in this order; each
/// of the three is also there on its own. None holds a secret, a token or a signature.
///
/// ```
/// use countersign::verify::Cause;
///
/// let cause = Cause::HostPortDropped;
/// assert_eq!(cause.code(), "host_port_dropped");
/// assert_eq!(cause.seen(), "The client signed the host without the port that its Host header has.");
/// assert!(cause.to_string().starts_with(&cause.seen()) && cause.to_string().ends_with(cause.remedy()));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Cause {
    /// The first line of the string to sign is not `AWS4-HMAC-SHA256`.
    AlgorithmLine {
        /// The line that was signed.
        signed: String,
    },
    /// No empty line stands between the headers and their names.
    BlankLineMissing,
    /// The scope is of another day than the credential says.
    Day {
        /// The day that was signed.
        signed: String,
        /// Where it went.
        used: Used,
    },
    /// The hash of the canonical request stands in upper case.
    HashUpperCase,
    /// A header is named as signed, and neither did it arrive nor was anything signed for it.
    HeaderAbsent {
        /// The header's name.
        name: String,
    },
    /// A signed header arrived with another value.
    HeaderChanged {
        /// The header's name.
        name: String,
        /// The value that was signed.
        signed: String,
    },
    /// A header's bytes beyond ASCII were signed in another character set.
    HeaderCharset,
    /// A header was signed that did not arrive.
    HeaderDropped {
        /// The header's name.
        name: String,
        /// The value that was signed.
        signed: String,
    },
    /// A header is named as signed and arrived, and was not signed.
    HeaderLeftOut {
        /// The header's name.
        name: String,
    },
    /// Header names were signed with capitals.
    HeaderNameCase,
    /// A header was signed that is not named as signed.
    HeaderNotListed {
        /// The header's name.
        name: String,
    },
    /// Header values were signed in lower case.
    HeaderValueCase,
    /// The header lines were sorted as whole lines.
    HeadersSortedAsText,
    /// Runs of blanks within header values were not folded.
    HeadersUnfolded,
    /// The headers, or their names, were not sorted.
    HeadersUnsorted,
    /// Blanks around header values were not trimmed.
    HeadersUntrimmed,
    /// The host was signed in another case.
    HostCase,
    /// The host was signed with the scheme's default port, which is not sent.
    HostDefaultPort {
        /// The host that was signed.
        signed: String,
    },
    /// The host that was signed stands in a header that a proxy writes.
    HostForwarded {
        /// The host that was signed.
        signed: String,
    },
    /// The host was signed without its port.
    HostPortDropped,
    /// Another host was signed.
    HostRewritten {
        /// The host that was signed.
        signed: String,
    },
    /// The steps of the key's derivation were chained as hexadecimal text.
    KeyHexChained,
    /// The key was derived without the `AWS4` in front of the secret.
    KeyPrefixMissing,
    /// Lines were ended by CR LF.
    LineEnds,
    /// Another method was signed.
    Method {
        /// The method that was signed.
        signed: String,
    },
    /// The method was signed in another case.
    MethodCase,
    /// The path was signed decoded.
    PathDecoded,
    /// The path was encoded once where the service wants it twice.
    PathEncodedOnce,
    /// The path was encoded once more than the service wants.
    PathEncodedThrice,
    /// The path was encoded twice where the service wants it once.
    PathEncodedTwice,
    /// The path was signed with a final slash that is not there, or without the one that is.
    PathFinalSlash,
    /// The path was signed without its first segment.
    PathFirstSegment {
        /// The segment that was not signed.
        segment: String,
    },
    /// The path's escapes were signed in lower case.
    PathLowerHex,
    /// Empty and dot segments were taken out of a path that the service signs as it is.
    PathNormalized,
    /// Empty and dot segments were left in the path.
    PathNotNormalized,
    /// A space in the path was signed as `+`.
    PathPlusForSpace,
    /// Reserved characters of the path were not encoded.
    PathReservedKept,
    /// `/` was signed, whatever the path.
    PathRoot,
    /// The slashes within the path were encoded.
    PathSlashesEncoded,
    /// `~` in the path was encoded.
    PathTildeEncoded,
    /// The path was signed as it stands on the wire.
    PathVerbatim,
    /// The path was signed with the bucket in front, which is sent in the host.
    PathWithBucket {
        /// The bucket.
        bucket: String,
    },
    /// The query was signed as a part of the path.
    PathWithQuery,
    /// The hash of an empty body was signed.
    PayloadEmpty,
    /// The hash of the body was hashed again.
    PayloadHashedTwice,
    /// The body was signed with other line ends.
    PayloadLineEnds,
    /// The canonical request ends without a payload line, or with an empty one.
    PayloadLineMissing,
    /// Another payload line was signed.
    PayloadMarker {
        /// The line that was signed.
        signed: String,
    },
    /// The body was signed with a newline at its end that did not arrive.
    PayloadNewlineAdded,
    /// The body was signed without the newline at its end.
    PayloadNewlineRemoved,
    /// The hash of the body was signed, though the request says otherwise.
    PayloadOfBody,
    /// `UNSIGNED-PAYLOAD` was signed.
    PayloadUnsigned,
    /// The hash of the body was signed in upper case.
    PayloadUpperCase,
    /// The query was signed decoded.
    QueryDecoded,
    /// Parameters without a value were not signed.
    QueryEmptyDropped,
    /// The query's escapes were encoded again.
    QueryEncodedTwice,
    /// A parameter without a `=` was signed without one.
    QueryEqualsMissing,
    /// The query was not signed.
    QueryLeftOut,
    /// The query's escapes were signed in lower case.
    QueryLowerHex,
    /// The query was sorted, and its names and values signed as they stand on the wire.
    QueryNotEncoded,
    /// One parameter was not signed.
    QueryParameterLeftOut {
        /// The parameter's name.
        name: String,
    },
    /// A `+` in the query was signed as a plus sign.
    QueryPlusKept,
    /// One value of a repeated parameter was signed.
    QueryRepeatsDropped,
    /// Reserved characters of the query were not encoded.
    QueryReservedKept,
    /// Slashes in the query were not encoded.
    QuerySlashKept,
    /// The query was sorted as the joined text `name=value`.
    QuerySortedAsText,
    /// The query was sorted by name alone.
    QuerySortedByName,
    /// The query was sorted before it was encoded.
    QuerySortedDecoded,
    /// The query was sorted without regard to case.
    QuerySortedIgnoringCase,
    /// A space in the query was signed as `+`.
    QuerySpaceAsPlus,
    /// `~` in the query was encoded.
    QueryTildeEncoded,
    /// The query was not sorted.
    QueryUnsorted,
    /// The query was signed as it stands on the wire.
    QueryVerbatim,
    /// The scope is of another region than the credential says.
    Region {
        /// The region that was signed.
        signed: String,
        /// Where it went.
        used: Used,
    },
    /// One value of a repeated header was signed.
    RepeatsDropped,
    /// The values of a repeated header were signed on lines of their own.
    RepeatsOnLines,
    /// The values of a repeated header were sorted.
    RepeatsSorted,
    /// The values of a repeated header were joined with a space behind the comma.
    RepeatsSpaced,
    /// The secret was percent-encoded, or decoded.
    SecretEscaped,
    /// The access key id was used in place of the secret.
    SecretIsKeyId,
    /// The secret was used with quotation marks around it, or without.
    SecretQuoted,
    /// The secret was used with white space around it, or without.
    SecretWhiteSpace,
    /// The scope is of another service than the credential says.
    Service {
        /// The service that was signed.
        signed: String,
        /// Where it went.
        used: Used,
    },
    /// The signature was sent in Base64.
    SignatureBase64,
    /// The signature was sent in upper case.
    SignatureUpperCase,
    /// The scope was signed without `aws4_request`.
    TerminatorMissing {
        /// Where it is missing.
        used: Used,
    },
    /// Another moment was signed.
    TimestampDiffers {
        /// The moment that was signed.
        signed: String,
    },
    /// The moment was signed in another form.
    TimestampForm {
        /// The text that was signed.
        signed: String,
    },
    /// The session token was signed, and did not arrive.
    TokenDropped,
    /// The session token was not signed.
    TokenNotSigned,
    /// The session token was signed, which this service wants added behind the signature.
    TokenSigned,
    /// The canonical request, or the string to sign, ends in a newline.
    TrailingNewline,
}

/// Where a wrong part of the scope went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Used {
    /// Into the string to sign and into the key.
    Both,
    /// Into the key.
    Key,
    /// Into the string to sign.
    StringToSign,
}

impl Cause {
    /// A name for machines, as `path_not_normalized`.
    pub fn code(&self) -> &'static str {
        self.texts().0
    }

    /// What the client did, as far as the signature proves it.
    pub fn seen(&self) -> String {
        let what = self.texts().1;
        let signed = match self {
            Cause::AlgorithmLine { signed }
            | Cause::HostDefaultPort { signed }
            | Cause::HostForwarded { signed }
            | Cause::HostRewritten { signed }
            | Cause::Method { signed }
            | Cause::PayloadMarker { signed }
            | Cause::TimestampDiffers { signed }
            | Cause::TimestampForm { signed } => format!(": `{signed}`"),
            Cause::Day { signed, used }
            | Cause::Region { signed, used }
            | Cause::Service { signed, used } => format!(": `{signed}`, in {used}"),
            Cause::HeaderAbsent { name }
            | Cause::HeaderLeftOut { name }
            | Cause::HeaderNotListed { name }
            | Cause::PathFirstSegment { segment: name }
            | Cause::PathWithBucket { bucket: name }
            | Cause::QueryParameterLeftOut { name } => format!(": `{name}`"),
            Cause::HeaderChanged { name, signed } | Cause::HeaderDropped { name, signed } => {
                format!(": `{name}: {signed}`")
            }
            Cause::TerminatorMissing { used } => format!(": in {used}"),
            _ => String::new(),
        };
        format!("{what}{signed}.")
    }

    /// The rule that both sides must keep.
    pub fn rule(&self) -> &'static str {
        self.texts().2
    }

    /// What to do.
    pub fn remedy(&self) -> &'static str {
        self.texts().3
    }

    /// Code, what was seen, rule and remedy.
    fn texts(&self) -> (&'static str, &'static str, &'static str, &'static str) {
        match self {
            Cause::AlgorithmLine { .. } => (
                "algorithm_line",
                "The client began the string to sign with another algorithm",
                STRING,
                "Write `AWS4-HMAC-SHA256` as the first line.",
            ),
            Cause::BlankLineMissing => (
                "blank_line_missing",
                "The client wrote no empty line between the headers and their names",
                "Each header line ends in a newline, and an empty line stands behind the last.",
                "Write a newline behind each header, the last one too, and then one more.",
            ),
            Cause::Day { .. } => (
                "day",
                "The client signed for another day than its credential says",
                "The day of the scope is that of the timestamp, in UTC, everywhere the same.",
                "Read the clock once, in UTC, and do not keep a derived key beyond midnight UTC.",
            ),
            Cause::HashUpperCase => (
                "hash_upper_case",
                "The client wrote the hash of the canonical request in upper case",
                HEX,
                LOWER_CASE,
            ),
            Cause::HeaderAbsent { .. } => (
                "header_absent",
                "The client named a header as signed that did not arrive, and signed nothing for it",
                "Each name in SignedHeaders is that of a header of the request.",
                "Send the header, or do not name it.",
            ),
            Cause::HeaderChanged { .. } => (
                "header_changed",
                "The client signed another value of a header than the one that arrived",
                HOPS,
                "Do not sign this header, or have the hop leave it alone.",
            ),
            Cause::HeaderCharset => (
                "header_charset",
                "The client signed a header value in another character set than it was sent in",
                "What is signed are the bytes of the value as they are sent.",
                "Encode header values once, and sign and send the same bytes; best is ASCII alone.",
            ),
            Cause::HeaderDropped { .. } => (
                "header_dropped",
                "The client signed a header that did not arrive",
                HOPS,
                "Do not sign this header, or have the hop leave it alone.",
            ),
            Cause::HeaderLeftOut { .. } => (
                "header_left_out",
                "The client named a header as signed and did not sign it, or a hop added it",
                "Each name in SignedHeaders has a line in the canonical request, and no other has.",
                "Make both from one list of headers, at the moment at which they are sent.",
            ),
            Cause::HeaderNameCase => (
                "header_name_case",
                "The client signed header names with capitals",
                "Header names are signed in lower case, in their lines and in SignedHeaders.",
                "Lower-case the names before they are sorted and written.",
            ),
            Cause::HeaderNotListed { .. } => (
                "header_not_listed",
                "The client signed a header that it did not name in SignedHeaders",
                "Each name in SignedHeaders has a line in the canonical request, and no other has.",
                "Add the name to SignedHeaders, or leave the header out of the canonical request.",
            ),
            Cause::HeaderValueCase => (
                "header_value_case",
                "The client signed header values in lower case",
                "Only the names are lower-cased; values are signed as they are sent.",
                "Leave the case of values alone.",
            ),
            Cause::HeadersSortedAsText => (
                "headers_sorted_as_text",
                "The client sorted the header lines as whole lines",
                "Headers are sorted by name alone: `a` comes before `a-b`, though `a-b:` is before `a:`.",
                "Sort by name, then write the lines.",
            ),
            Cause::HeadersUnfolded => (
                "headers_unfolded",
                "The client signed runs of blanks within header values as they are",
                FOLDED,
                "Replace each run of spaces and tabs in the value by one space, within quotes too.",
            ),
            Cause::HeadersUnsorted => (
                "headers_unsorted",
                "The client did not sort the signed headers",
                "Header lines and SignedHeaders are sorted by lower-case name.",
                "Sort by lower-case name, and make the lines and SignedHeaders from one list.",
            ),
            Cause::HeadersUntrimmed => (
                "headers_untrimmed",
                "The client signed blanks at the ends of header values",
                FOLDED,
                "Trim spaces and tabs at both ends of the value.",
            ),
            Cause::HostCase => (
                "host_case",
                "The client signed the host in another case than it sent it",
                HOST,
                "Sign the text of the Host header; some libraries lower-case the host of a URL.",
            ),
            Cause::HostDefaultPort { .. } => (
                "host_default_port",
                "The client signed the host with a default port that it did not send",
                HOST,
                "Leave the port out of the signed host where it is 443 for https or 80 for http.",
            ),
            Cause::HostForwarded { .. } => (
                "host_forwarded",
                "The client signed the host it called, and a proxy on the way replaced it",
                HOST,
                "Have the proxy pass the Host header on, or verify against the host it notes.",
            ),
            Cause::HostPortDropped => (
                "host_port_dropped",
                "The client signed the host without the port that its Host header has",
                HOST,
                "Sign the host with its port unless that is the scheme's default.",
            ),
            Cause::HostRewritten { .. } => (
                "host_rewritten",
                "The client signed another host than the one that arrived",
                HOST,
                "Sign for the host that is called, and have proxies pass the Host header on.",
            ),
            Cause::KeyHexChained => (
                "key_hex_chained",
                "The client derived the key from hexadecimal text where bytes belong",
                KEY,
                "Take the raw 32 bytes of each HMAC as the key of the next, not its hexadecimal form.",
            ),
            Cause::KeyPrefixMissing => (
                "key_prefix_missing",
                "The client derived the key without `AWS4` in front of the secret",
                KEY,
                "Begin with the key `AWS4` + secret.",
            ),
            Cause::LineEnds => (
                "line_ends",
                "The client ended lines by CR LF",
                "Lines of the canonical request and of the string to sign end in LF alone.",
                "Join the lines with `\\n`, not with the platform's line end.",
            ),
            Cause::Method { .. } => (
                "method",
                "The client signed another method than the one that arrived",
                "The method is signed as it is sent.",
                "Sign the method that is sent; look for a redirect or a HEAD made into a GET on the way.",
            ),
            Cause::MethodCase => (
                "method_case",
                "The client signed the method in another case than it sent it",
                "The method is signed as it is sent, which is in upper case.",
                "Upper-case the method in both places.",
            ),
            Cause::PathDecoded => (
                "path_decoded",
                "The client signed the path decoded",
                PATH,
                "Sign the path as it is encoded for the URL, and not what a URL library decoded.",
            ),
            Cause::PathEncodedOnce => (
                "path_encoded_once",
                "The client signed the path encoded once, as only S3 wants it",
                PATH,
                "Encode the path of the URL again, so that `%20` is signed as `%2520`.",
            ),
            Cause::PathEncodedThrice => (
                "path_encoded_thrice",
                "The client encoded the path once too often",
                PATH,
                "Look for a path that is encoded already when it is given to the signer.",
            ),
            Cause::PathEncodedTwice => (
                "path_encoded_twice",
                "The client signed the path encoded twice, as S3 does not want it",
                PATH,
                "Switch double encoding off for S3.",
            ),
            Cause::PathFinalSlash => (
                "path_final_slash",
                "The client signed a path that differs from the one that arrived by its final slash",
                PATH,
                "Sign the path that is sent, and look for a proxy that adds or removes the slash.",
            ),
            Cause::PathFirstSegment { .. } => (
                "path_first_segment",
                "The client signed the path without its first segment",
                PATH,
                "Sign the whole path: a bucket, a stage or a prefix that a proxy adds belongs to it.",
            ),
            Cause::PathLowerHex => (
                "path_lower_hex",
                "The client signed the escapes of the path in lower case",
                ESCAPES,
                "Write escapes in upper case: `%C3`, not `%c3`.",
            ),
            Cause::PathNormalized => (
                "path_normalized",
                "The client took empty and dot segments out of the path, which S3 does not want",
                PATH,
                "Switch path normalization off for S3: `//` and `/./` are part of a key there.",
            ),
            Cause::PathNotNormalized => (
                "path_not_normalized",
                "The client left empty or dot segments in the path",
                PATH,
                "Take `//`, `/.` and `/..` out of the path before it is signed.",
            ),
            Cause::PathPlusForSpace => (
                "path_plus_for_space",
                "The client signed a space in the path as `+`",
                ESCAPES,
                "Encode the path with a function for URLs, not with one for forms: a space is `%20`.",
            ),
            Cause::PathReservedKept => (
                "path_reserved_kept",
                "The client left reserved characters of the path as they are",
                ESCAPES,
                "Encode all but A–Z a–z 0–9 - . _ ~ and the slashes, `!'()*=+@:$,;&` too.",
            ),
            Cause::PathRoot => (
                "path_root",
                "The client signed `/` in place of the path",
                PATH,
                "Sign the path of the URL that is sent.",
            ),
            Cause::PathSlashesEncoded => (
                "path_slashes_encoded",
                "The client encoded the slashes within the path",
                PATH,
                "Encode each segment on its own and join them with `/`.",
            ),
            Cause::PathTildeEncoded => (
                "path_tilde_encoded",
                "The client encoded `~` in the path",
                ESCAPES,
                "Leave `~` as it is; encoders older than RFC 3986 write `%7E`.",
            ),
            Cause::PathVerbatim => (
                "path_verbatim",
                "The client signed the path as it stands on the wire",
                PATH,
                "Give the path the form that the service wants before it is signed.",
            ),
            Cause::PathWithBucket { .. } => (
                "path_with_bucket",
                "The client signed the path with the bucket in front, which was sent in the host",
                "The path is signed as it is sent; Version 2 signatures wanted the bucket in front.",
                "Sign the path of the URL, or send the bucket in the path.",
            ),
            Cause::PathWithQuery => (
                "path_with_query",
                "The client signed the query as a part of the path",
                "Path and query stand on lines of their own, without the `?`.",
                "Split the target at its first `?`.",
            ),
            Cause::PayloadEmpty => (
                "payload_empty",
                "The client signed the hash of an empty body",
                PAYLOAD,
                "Give the body to the signer, or sign after the body is set.",
            ),
            Cause::PayloadHashedTwice => (
                "payload_hashed_twice",
                "The client hashed the hexadecimal hash of the body again",
                PAYLOAD,
                "Give the signer the body or its hash, whichever it asks for.",
            ),
            Cause::PayloadLineEnds => (
                "payload_line_ends",
                "The client signed the body with other line ends than arrived",
                PAYLOAD,
                "Hash the bytes that are sent, and switch off what translates line ends.",
            ),
            Cause::PayloadLineMissing => (
                "payload_line_missing",
                "The client signed no payload line, or an empty one",
                PAYLOAD,
                "End the canonical request with the hash of the body, also if the body is empty.",
            ),
            Cause::PayloadMarker { .. } => (
                "payload_marker",
                "The client signed another payload line than the request has",
                PAYLOAD,
                "Send the payload line that was signed as `x-amz-content-sha256`, and sign that header.",
            ),
            Cause::PayloadNewlineAdded => (
                "payload_newline_added",
                "The client signed the body with a newline at its end that did not arrive",
                PAYLOAD,
                "Hash the bytes that are sent: `echo` adds a newline, `curl -d @file` removes it.",
            ),
            Cause::PayloadNewlineRemoved => (
                "payload_newline_removed",
                "The client signed the body without the newline at its end",
                PAYLOAD,
                "Hash the bytes that are sent: an editor or `echo` adds a newline to a file.",
            ),
            Cause::PayloadOfBody => (
                "payload_of_body",
                "The client signed the hash of the body, though the request says something else of it",
                PAYLOAD,
                "Send the payload line that was signed as `x-amz-content-sha256`, and sign that header.",
            ),
            Cause::PayloadUnsigned => (
                "payload_unsigned",
                "The client signed `UNSIGNED-PAYLOAD`, which the request does not say",
                PAYLOAD,
                "Send `x-amz-content-sha256: UNSIGNED-PAYLOAD` and sign it, or sign the hash of the body.",
            ),
            Cause::PayloadUpperCase => (
                "payload_upper_case",
                "The client signed the hash of the body in upper case",
                HEX,
                LOWER_CASE,
            ),
            Cause::QueryDecoded => (
                "query_decoded",
                "The client signed the query decoded",
                QUERY,
                "Encode each name and value before it is signed.",
            ),
            Cause::QueryEmptyDropped => (
                "query_empty_dropped",
                "The client left parameters without a value unsigned",
                QUERY,
                "Sign `name=` for each parameter without a value.",
            ),
            Cause::QueryEncodedTwice => (
                "query_encoded_twice",
                "The client encoded the query's escapes again",
                QUERY,
                "Decode names and values before they are encoded, or encode them only once.",
            ),
            Cause::QueryEqualsMissing => (
                "query_equals_missing",
                "The client signed a parameter without a value without its `=`",
                "Each parameter is signed as `name=value`: `?acl` as `acl=`.",
                "Write the `=` always.",
            ),
            Cause::QueryLeftOut => (
                "query_left_out",
                "The client did not sign the query",
                QUERY,
                "Sign the query of the URL that is sent; look for parameters added after signing.",
            ),
            Cause::QueryLowerHex => (
                "query_lower_hex",
                "The client signed the escapes of the query in lower case",
                ESCAPES,
                "Write escapes in upper case: `%2F`, not `%2f`.",
            ),
            Cause::QueryNotEncoded => (
                "query_not_encoded",
                "The client sorted the query, but signed names and values as they stand on the wire",
                QUERY,
                "Decode each name and value and encode it anew.",
            ),
            Cause::QueryParameterLeftOut { .. } => (
                "query_parameter_left_out",
                "The client did not sign one parameter, or something added it afterwards",
                "All parameters are signed but the signature itself.",
                "Add parameters before signing, and have proxies add none.",
            ),
            Cause::QueryPlusKept => (
                "query_plus_kept",
                "The client signed a `+` in the query as a plus sign",
                "A `+` in a query is a space, signed as `%20`; a plus sign is sent and signed as `%2B`.",
                "Send `%20` for a space and `%2B` for a plus sign, never a bare `+`.",
            ),
            Cause::QueryRepeatsDropped => (
                "query_repeats_dropped",
                "The client signed one value of a parameter that is there more than once",
                "Each value of a repeated parameter is signed, sorted by name and then by value.",
                "Keep the parameters in a list, not in a map.",
            ),
            Cause::QueryReservedKept => (
                "query_reserved_kept",
                "The client left reserved characters of the query as they are",
                ESCAPES,
                "Encode all but A–Z a–z 0–9 - . _ ~ in names and values, `!'()*:@$,;?/` too.",
            ),
            Cause::QuerySlashKept => (
                "query_slash_kept",
                "The client left slashes in the query as they are",
                ESCAPES,
                "Encode `/` as `%2F` in the query; only in the path does it stay.",
            ),
            Cause::QuerySortedAsText => (
                "query_sorted_as_text",
                "The client sorted the query as the joined text `name=value`",
                SORTED,
                "Sort pairs of name and value, then join them.",
            ),
            Cause::QuerySortedByName => (
                "query_sorted_by_name",
                "The client sorted the query by name alone",
                SORTED,
                "Sort the values of a repeated parameter too.",
            ),
            Cause::QuerySortedDecoded => (
                "query_sorted_decoded",
                "The client sorted the query before it encoded it",
                SORTED,
                "Encode first, then sort.",
            ),
            Cause::QuerySortedIgnoringCase => (
                "query_sorted_ignoring_case",
                "The client sorted the query without regard to case",
                SORTED,
                "Compare bytes, not words of a language: capitals come before small letters.",
            ),
            Cause::QuerySpaceAsPlus => (
                "query_space_as_plus",
                "The client signed a space in the query as `+`",
                ESCAPES,
                "Encode with a function for URLs, not with one for forms: a space is `%20`.",
            ),
            Cause::QueryTildeEncoded => (
                "query_tilde_encoded",
                "The client encoded `~` in the query",
                ESCAPES,
                "Leave `~` as it is; encoders older than RFC 3986 write `%7E`.",
            ),
            Cause::QueryUnsorted => (
                "query_unsorted",
                "The client did not sort the query",
                SORTED,
                "Sort by encoded name, then by encoded value.",
            ),
            Cause::QueryVerbatim => (
                "query_verbatim",
                "The client signed the query as it stands on the wire",
                QUERY,
                "Decode each name and value, encode it anew and sort.",
            ),
            Cause::Region { .. } => (
                "region",
                "The client signed for another region than its credential says",
                SCOPE,
                "Take the region from one setting, for the credential, the string to sign and the key.",
            ),
            Cause::RepeatsDropped => (
                "repeats_dropped",
                "The client signed one value of a header that is there more than once",
                REPEATS,
                "Keep the headers in a list, not in a map, or join the values before they are sent.",
            ),
            Cause::RepeatsOnLines => (
                "repeats_on_lines",
                "The client signed each value of a repeated header on a line of its own",
                REPEATS,
                "Join the values with a comma on one line.",
            ),
            Cause::RepeatsSorted => (
                "repeats_sorted",
                "The client sorted the values of a repeated header",
                REPEATS,
                "Leave the values in the order in which they are sent.",
            ),
            Cause::RepeatsSpaced => (
                "repeats_spaced",
                "The client joined the values of a repeated header with a comma and a space",
                REPEATS,
                "Join with a comma alone, or send one header with the joined value.",
            ),
            Cause::SecretEscaped => (
                "secret_escaped",
                "The client used the secret percent-encoded or decoded",
                SECRET,
                "Use the secret as it was issued: a `/` or `+` in it is no escape.",
            ),
            Cause::SecretIsKeyId => (
                "secret_is_key_id",
                "The client used the access key id in place of the secret",
                SECRET,
                "Look at the order of the two in the client's settings.",
            ),
            Cause::SecretQuoted => (
                "secret_quoted",
                "The client used the secret with quotation marks around it, or without those it has",
                SECRET,
                "Take the quotation marks out of the file or variable that holds the secret.",
            ),
            Cause::SecretWhiteSpace => (
                "secret_white_space",
                "The client used the secret with white space around it, or without that which it has",
                SECRET,
                "Trim the secret where it is read; a file made with `echo` ends in a newline.",
            ),
            Cause::Service { .. } => (
                "service",
                "The client signed for another service than its credential says",
                SCOPE,
                "Use the signing name in all places; it is often not the first part of the host.",
            ),
            Cause::SignatureBase64 => (
                "signature_base64",
                "The client sent the signature in Base64, as Version 2 did",
                HEX,
                LOWER_CASE,
            ),
            Cause::SignatureUpperCase => (
                "signature_upper_case",
                "The client sent the signature in upper case",
                HEX,
                LOWER_CASE,
            ),
            Cause::TerminatorMissing { .. } => (
                "terminator_missing",
                "The client left `aws4_request` out",
                "The scope ends in `aws4_request`, and the last step of the key's derivation signs it.",
                "Add `aws4_request` in both places.",
            ),
            Cause::TimestampDiffers { .. } => (
                "timestamp_differs",
                "The client signed another moment than it sent",
                "The timestamp of the string to sign is the one that is sent, in UTC.",
                "Read the clock once, in UTC, and use that moment for the header and the signature.",
            ),
            Cause::TimestampForm { .. } => (
                "timestamp_form",
                "The client wrote the moment into the string to sign in another form",
                "The timestamp is written `20150830T123600Z`, also where a `date` header has another form.",
                "Write it in the basic form of ISO 8601, in UTC, with its `Z`.",
            ),
            Cause::TokenDropped => (
                "token_dropped",
                "The client signed the session token, and it did not arrive",
                TOKEN,
                "Send the token as it was signed, and have proxies pass it on.",
            ),
            Cause::TokenNotSigned => (
                "token_not_signed",
                "The client sent the session token without signing it",
                TOKEN,
                "Add the token before signing.",
            ),
            Cause::TokenSigned => (
                "token_signed",
                "The client signed the session token",
                "This service wants the token added to the request when that is signed already.",
                "Sign without the token, then add it.",
            ),
            Cause::TrailingNewline => (
                "trailing_newline",
                "The client ended the canonical request or the string to sign with a newline",
                "Neither the canonical request nor the string to sign ends in a newline.",
                "Join the lines with newlines; write none behind the last.",
            ),
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.seen(), self.rule(), self.remedy())
    }
}

impl fmt::Display for Used {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Used::Both => "the string to sign and the key",
            Used::Key => "the key alone",
            Used::StringToSign => "the string to sign alone",
        })
    }
}

const ESCAPES: &str = "All but A–Z a–z 0–9 - . _ ~ is written as `%` and two upper-case digits: a space is \
    `%20`.";
const FOLDED: &str =
    "Header values are signed without blanks at their ends, each inner run of blanks as one space.";
const HEX: &str = "Hashes and signatures are written in lower-case hexadecimal.";
const HOPS: &str =
    "A signed header must arrive as it was signed; proxies and HTTP libraries rewrite some.";
const HOST: &str =
    "The Host header is signed as it arrives, without a port where that is the scheme's default.";
const KEY: &str = "The key is the HMAC of day, region, service and `aws4_request`, one after the other, \
    begun with `AWS4` and the secret.";
const LOWER_CASE: &str = "Write the bytes as lower-case hexadecimal.";
const PATH: &str = "S3 signs the path as it is, decoded and encoded once; every other service signs it \
    without empty and dot segments, with the path of the URL encoded a second time.";
const PAYLOAD: &str =
    "The last line is the hash of the body, or what a signed `x-amz-content-sha256` says.";
const QUERY: &str = "Each name and value of the query is decoded and encoded anew, then the pairs are \
    sorted.";
const REPEATS: &str =
    "The values of a repeated header are signed on one line, in their order, joined by commas.";
const SCOPE: &str =
    "Day, region and service are the same in the credential, the string to sign and the key.";
const SECRET: &str = "The key is made of the secret as it was issued, byte for byte.";
const SORTED: &str =
    "The query is sorted by encoded name, then by encoded value, byte by byte, as pairs.";
const STRING: &str = "The string to sign is four lines: the algorithm, as `AWS4-HMAC-SHA256`, the timestamp, \
    the scope and the hash of the canonical request.";
const TOKEN: &str = "A session token is sent and signed, as the header `x-amz-security-token` or as the \
    parameter `X-Amz-Security-Token`.";
