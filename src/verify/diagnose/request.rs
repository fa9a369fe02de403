//! A request as it arrived, taken apart for trials, and the form in which it should have been signed.

use std::{borrow::Cow, fmt, sync::Arc};

use super::form::{
    Coding, Decode, Form, HeaderForm, KeyForm, LineOrder, Names, Order, PathForm, QueryForm,
    Repeats, Select, Style, TextForm, Values,
};
use crate::{
    Algorithm, Credentials, Head, Rules, Timestamp,
    asymmetric::AsymmetricKey,
    canonical::query,
    head::relative,
    sha256,
    verify::{
        Error, Place, Verifier,
        parts::{Credential, Found, Parts, malformed},
        text::Text,
    },
};

pub(super) struct Received<'a> {
    pub(super) head: Head<'a>,
    pub(super) rules: Rules,
    pub(super) place: Place,
    pub(super) algorithm: Algorithm,
    /// From which keys come, if the signature is asymmetric.
    pub(super) asymmetric: Option<Arc<dyn AsymmetricKey>>,
    pub(super) credential: Credential<'a>,
    pub(super) signature: Cow<'a, [u8]>,
    pub(super) at: Timestamp,
    pub(super) host: &'a [u8],
    /// The headers named as signed, in the order in which they are named.
    pub(super) lines: Vec<Line<'a>>,
    /// The other headers.
    pub(super) unsigned: Vec<Unsigned<'a>>,
    /// The parameters that are signed.
    pub(super) parameters: Vec<Parameter<'a>>,
    /// The whole query but for the signature.
    pub(super) query: Vec<u8>,
    /// The payload line.
    pub(super) payload: Vec<u8>,
    pub(super) body: ReceivedBody<'a>,
}

/// What is known of the body that arrived.
///
/// ```
/// use countersign::{Payload, verify::ReceivedBody};
///
/// // With the bytes, a diagnosis also tries other line ends; they are best where they are small.
/// let whole = ReceivedBody::Whole(b"Action=ListUsers\n");
/// let Payload::Sha256(hash) = Payload::hash("a body that was hashed while it was read") else { return };
/// let hashed = ReceivedBody::Hash(hash);
/// # let _ = (whole, hashed);
/// ```
#[derive(Clone, Copy)]
#[non_exhaustive]
pub enum ReceivedBody<'a> {
    /// The SHA-256 of all its bytes.
    Hash([u8; 32]),
    /// All its bytes.
    Whole(&'a [u8]),
}

pub(super) struct Line<'a> {
    /// In lower case, as SignedHeaders has it.
    pub(super) name: String,
    /// As the header itself has it.
    pub(super) sent: String,
    /// As they arrived; none if the header is not there.
    pub(super) values: Vec<&'a [u8]>,
}

pub(super) struct Unsigned<'a> {
    pub(super) name: String,
    pub(super) values: Vec<&'a [u8]>,
}

/// A parameter of the query as it stands on the wire.
#[derive(Clone, Copy)]
pub(super) struct Parameter<'a> {
    pub(super) name: &'a [u8],
    /// `None` without a `=`.
    pub(super) value: Option<&'a [u8]>,
}

impl<'a> Received<'a> {
    pub(super) fn new(
        verifier: &Verifier,
        head: Head<'a>,
        body: ReceivedBody<'a>,
    ) -> Result<Received<'a>, Error> {
        let found = Found::collect(head)?;
        let parts = Parts::parse(head, &found)?;
        let place = parts.place;
        verifier.check_algorithm(&parts)?;
        let asymmetric = verifier.asymmetric.clone().filter(|_| !parts.algorithm.names_region());
        let service = parts.credential.service.as_bytes();
        let rules = verifier.rules.unwrap_or_else(|| Rules::for_service_bytes(service));
        let host = head.host(found.host).map_err(|error| malformed(place, error.to_string()))?;
        if head.path.first().is_some_and(|&first| first != b'/') {
            return Err(malformed(place, relative(head.path).to_string()));
        }
        let at = parts.timestamp()?;
        let mut lines: Vec<Line<'a>> = parts
            .signed
            .iter()
            .map(|listed| Line {
                name: listed.to_ascii_lowercase(),
                sent: listed.to_owned(),
                values: Vec::new(),
            })
            .collect();
        let mut unsigned: Vec<Unsigned<'a>> = Vec::new();
        let visited = head.headers.for_each(|sent, value| {
            let sent = String::from_utf8_lossy(sent);
            let name = sent.to_ascii_lowercase();
            if let Some(line) = lines.iter_mut().find(|line| line.name == name) {
                line.sent = sent.into_owned();
                line.values.push(value);
            } else if let Some(known) = unsigned.iter_mut().find(|other| other.name == name) {
                known.values.push(value);
            } else {
                unsigned.push(Unsigned { name, values: vec![value] });
            }
            Ok(())
        });
        visited.map_err(|error| malformed(place, error.to_string()))?;
        if let Some(line) = lines.iter_mut().find(|line| line.name == "host") {
            line.values = vec![host];
        }
        let is_signature = |piece: &[u8]| is_named(piece, query::SIGNATURE);
        let pieces = || {
            let all = head.query.unwrap_or_default().split(|&byte| byte == b'&');
            all.filter(|piece| !is_signature(piece))
        };
        let parameters = pieces().filter(|piece| {
            let is_dropped = matches!(piece.first(), None | Some(b'='));
            let is_token_behind = rules.token_after_signing
                && place == Place::Query
                && is_named(piece, query::SECURITY_TOKEN);
            !is_dropped && !is_token_behind
        });
        let hash_header = || {
            let line =
                lines.iter().find(|line| line.name == CONTENT_SHA256).map(|line| &line.values);
            let other = || unsigned.iter().find(|other| other.name == CONTENT_SHA256);
            line.or_else(|| other().map(|other| &other.values))?.first()
        };
        // A malformed line is refused, but here it is a line as any other.
        let payload = match (parts.payload(rules), hash_header()) {
            (Ok(Some(payload)), _) => payload.line().as_str().into(),
            (Err(_), Some(line)) => line.trim_ascii().to_vec(),
            (Ok(None) | Err(_), _) => sha256::hex(&body.hash()).to_vec(),
        };
        Ok(Received {
            head,
            rules,
            place,
            algorithm: parts.algorithm,
            asymmetric,
            at,
            host,
            parameters: parameters.map(Parameter::new).collect(),
            query: pieces().collect::<Vec<_>>().join(&b'&'),
            payload,
            body,
            lines,
            unsigned,
            signature: parts.signature,
            credential: parts.credential,
        })
    }

    /// The form by the rules.
    pub(super) fn right<'w>(&'w self, credentials: &'w Credentials) -> Form<'w> {
        let Credential { date, region, service, terminator, .. } = &self.credential;
        let [date, region, service, terminator] =
            [date, region, service, terminator].map(Text::as_str);
        Form {
            method: self.head.method,
            path: PathForm {
                source: self.head.path,
                is_normalized: self.rules.normalize_path,
                drops_final_slash: false,
                coding: if self.rules.double_encode { Coding::Twice } else { Coding::Once },
                style: Style::Strict,
            },
            query: QueryForm {
                text: None,
                select: Select::All,
                decode: Decode::Form,
                style: Style::Strict,
                order: Order::Pairs,
                adds_equals: true,
            },
            headers: HeaderForm {
                values: Values::Folded,
                repeats: Repeats::Joined,
                order: LineOrder::Sorted,
                names: Names::LowerCase,
                has_blank_line: true,
                edits: [None, None],
            },
            payload: Some(&self.payload),
            line_end: "\n",
            request_end: "",
            text: TextForm {
                algorithm: self.algorithm.as_str(),
                time: self.at.as_str(),
                date,
                region: self.algorithm.names_region().then_some(region),
                service,
                terminator,
                is_hash_upper: false,
                end: "",
            },
            key: KeyForm {
                secret: credentials.secret_access_key(),
                prefix: "AWS4",
                date,
                region,
                service,
                terminator,
                is_hex: false,
            },
        }
    }

    /// The first value of a header, signed or not.
    pub(super) fn header(&self, name: &str) -> Option<&'a [u8]> {
        let line = self.lines.iter().find(|line| line.name == name).map(|line| &line.values);
        let unsigned = || self.unsigned.iter().find(|other| other.name == name);
        line.or_else(|| unsigned().map(|other| &other.values))?.first().copied()
    }

    /// The names that are listed as signed and did not arrive.
    pub(super) fn missing(&self) -> impl Iterator<Item = &Line<'a>> {
        self.lines.iter().filter(|line| line.values.is_empty())
    }
}

impl<'a> Parameter<'a> {
    pub(super) fn new(piece: &'a [u8]) -> Parameter<'a> {
        match piece.iter().position(|&byte| byte == b'=') {
            Some(at) => Parameter { name: &piece[..at], value: Some(&piece[at + 1..]) },
            None => Parameter { name: piece, value: None },
        }
    }
}

impl fmt::Debug for ReceivedBody<'_> {
    /// The bytes are left out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ReceivedBody::Hash(_) => "Hash(..)",
            ReceivedBody::Whole(_) => "Whole(..)",
        })
    }
}

impl ReceivedBody<'_> {
    pub(super) fn hash(&self) -> [u8; 32] {
        match self {
            ReceivedBody::Hash(hash) => *hash,
            ReceivedBody::Whole(body) => sha256::digest(body),
        }
    }
}

pub(super) fn is_named(piece: &[u8], name: &str) -> bool {
    percent_encoding::percent_decode(Parameter::new(piece).name).eq(name.bytes())
}

const CONTENT_SHA256: &str = "x-amz-content-sha256";
