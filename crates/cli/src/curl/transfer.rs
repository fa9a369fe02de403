//! What curl will send, and how it is told to.

use countersign::{Payload, Rules, Scratch, Signed, chunked::ChunkSigner};

use super::{
    bytes::path_of,
    data::{self, Piece},
    headers::{self, HeaderArg},
    parse::CommandLine,
    table::Encoding,
    url::{Url, without_globs},
};
use crate::{
    body::Body,
    failure::Failure,
    framing::{self, Changed, Checksum},
    host::Target,
    options::{PayloadChoice, Signing, SigningOptions},
    request::{Request, url_with_query},
};

/// A request as curl will send it, unsigned.
#[derive(Debug)]
pub(super) struct Transfer {
    request: Request,
    url: Url,
    headers: Vec<HeaderArg>,
    data: Vec<Piece>,
    kind: Kind,
    /// The arguments that curl gets as they are.
    kept: Vec<Vec<u8>>,
    path_as_is: bool,
    globoff: bool,
}

/// What makes the body.
#[derive(Debug)]
enum Kind {
    Data,
    /// The option that makes the form.
    Form(Vec<u8>),
    Nothing,
    /// The name of the file, or a dash.
    Upload(Vec<u8>),
}

/// A request as curl will send it, signed.
#[derive(Debug)]
pub(super) struct SignedTransfer {
    /// The headers that the signature adds.
    pub(super) added: Vec<(&'static str, String)>,
    /// The user's headers, without those that the signature replaces.
    pub(super) headers: Vec<HeaderArg>,
    pub(super) body: Sending,
    /// The user's data, as it was written.
    pub(super) data: Vec<Piece>,
    /// All other arguments, the URL among them.
    pub(super) arguments: Vec<Vec<u8>>,
}

/// How curl comes by the body.
#[derive(Debug)]
pub(super) enum Sending {
    /// As the value of `--data-binary` or its like.
    Data(Body),
    /// From this program, which frames it in chunks.
    Framed(Body, Box<ChunkSigner>),
    /// From its other arguments, or not at all.
    Own,
    /// As the file of `-T`, which goes by this name. Without a body here, nobody has read it.
    Upload(Vec<u8>, Body),
}

impl Transfer {
    /// Works out what curl makes of its command line.
    ///
    /// The files of headers and the data of `-G` are read here; a body is read when it is signed.
    pub(super) fn new(line: CommandLine) -> Result<Transfer, Failure> {
        let CommandLine { mut data, upload, form, get, head, path_as_is, globoff, .. } = line;
        let unglob = |text: Vec<u8>, what: &str| match globoff {
            true => Ok(text),
            false => without_globs(&text, what),
        };
        let upload = upload.map(|file| unglob(file, "the file of `-T`")).transpose()?;
        let mut url = Url::parse(&unglob(line.url, "the URL")?, line.https_by_default)?;
        if !path_as_is {
            url.remove_dot_segments();
        }
        if let Some(file) = upload.as_ref().filter(|file| !is_stdin(file)) {
            if url.ends_in_dots() {
                return Err(Failure::input(
                    "the path of the URL ends in dots, behind which curl adds the name of the file \
                     of `-T` in its own way: write the whole path",
                ));
            }
            url.complete_with(file);
        }

        let mut headers =
            line.headers.into_iter().map(HeaderArg::read).collect::<Result<Vec<_>, _>>()?;
        if data.iter().any(|piece| piece.encoding == Encoding::Json) {
            add_json_headers(&mut headers);
        }
        if get && !data.is_empty() {
            let mut query = Vec::new();
            data::write(&data, &mut query)?;
            url.add_query(&query)?;
            data.clear();
        }
        let kind = match (upload, form) {
            (Some(file), _) => Kind::Upload(file),
            (None, Some(option)) => Kind::Form(option),
            (None, None) if data.is_empty() => Kind::Nothing,
            (None, None) => Kind::Data,
        };
        let method = match (line.method, &kind) {
            (Some(method), _) => String::from_utf8(method).map_err(|_| {
                Failure::input("the value of `-X` is not UTF-8, let alone a method")
            })?,
            (None, _) if head => "HEAD".to_owned(),
            (None, Kind::Upload(_)) => "PUT".to_owned(),
            (None, Kind::Data | Kind::Form(_)) => "POST".to_owned(),
            (None, Kind::Nothing) => "GET".to_owned(),
        };
        let request = Request {
            method,
            url: url.target(),
            headers: sent_headers(&headers, &url, &kind)?,
            body: Body::None,
        };
        Ok(Transfer { request, url, headers, data, kind, kept: line.kept, path_as_is, globoff })
    }

    /// Where the request goes.
    pub(super) fn target(&self) -> Option<Target> {
        self.request.target()
    }

    /// Reads the body and signs the request.
    pub(super) fn sign(
        mut self,
        options: &SigningOptions,
        signing: &Signing,
        checksum: Checksum,
    ) -> Result<SignedTransfer, Failure> {
        if let Some(PayloadChoice::Given(payload)) = options.payload
            && payload.is_in_chunks()
        {
            return self.frame(payload, checksum, signing);
        }
        let mut options = options.clone();
        match &self.kind {
            Kind::Nothing => {}
            Kind::Data => self.request.body = data::body_of(&self.data)?,
            Kind::Form(option) => options.payload = Some(form_payload(option, &options, signing)?),
            // The signature does not depend on it.
            Kind::Upload(_) if matches!(options.payload, Some(PayloadChoice::Given(_))) => {}
            Kind::Upload(file) => {
                let is_piped = is_stdin(file);
                self.request.body = upload_of(file)?;
                if is_piped && Rules::for_service(signing.signer.service()) == Rules::S3 {
                    self.declare_length()?;
                }
            }
        }
        let added = self.request.sign(&options, signing, |signed| Ok(Added::of(signed)))?;
        let body = match &mut self.kind {
            Kind::Data => Sending::Data(std::mem::take(&mut self.request.body)),
            Kind::Form(_) | Kind::Nothing => Sending::Own,
            Kind::Upload(file) => {
                Sending::Upload(file.clone(), std::mem::take(&mut self.request.body))
            }
        };
        Ok(self.signed(added, body))
    }

    /// Signs the head; the body is framed when curl reads it.
    fn frame(
        mut self,
        payload: Payload,
        checksum: Checksum,
        signing: &Signing,
    ) -> Result<SignedTransfer, Failure> {
        if self.kept.iter().any(|option| option.starts_with(b"--retry")) {
            return Err(Failure::input(
                "`--retry` is refused: a body in chunks is read once and cannot be sent again",
            ));
        }
        let mut body = match &self.kind {
            Kind::Data => data::body_of(&self.data)?,
            Kind::Upload(file) => upload_of(file)?,
            Kind::Form(option) => {
                return Err(Failure::input(format_args!(
                    "`{}` is refused: curl alone writes the form, so it cannot be framed in chunks",
                    option.escape_ascii()
                )));
            }
            Kind::Nothing => {
                return Err(Failure::input(
                    "there is no body to send in chunks: give one with -T or -d",
                ));
            }
        };
        let Signing { signer, credentials, at } = signing;
        let chunks = framing::chunks(payload, body.len()?, checksum)
            .expect("who calls has seen that the payload is one of chunks")
            .with_algorithm(signer.algorithm());
        let payload = chunks.payload();
        let Changed { replaced, set } = framing::set_headers(&mut self.request, &chunks)?;
        let mut scratch = Scratch::new();
        let (added, chunks) = self.request.with_head(|head| {
            let signed = signer.sign_head(head, payload, credentials, *at, &mut scratch)?;
            Ok((Added::of(&signed), Box::new(ChunkSigner::new(&signed, chunks)?)))
        })?;
        for arg in &mut self.headers {
            arg.remove(&replaced);
        }
        // curl uploads what it reads from standard input, unlike data, without holding all of it. It
        // then thinks that it does not know the length, and adds no Content-Type.
        self.headers.push(HeaderArg::line("Transfer-Encoding:"));
        let own_type = matches!(self.kind, Kind::Data) && !is_given(&self.headers, "Content-Type");
        if own_type {
            self.headers.push(HeaderArg::line(format!("Content-Type: {FORM}")));
        }
        for (name, value) in set {
            self.headers.push(HeaderArg::line(format!("{name}: {value}")));
        }
        if matches!(self.kind, Kind::Data) {
            self.kept.extend([b"-X".to_vec(), self.request.method.clone().into_bytes()]);
        }
        Ok(self.signed(added, Sending::Framed(body, chunks)))
    }

    /// What curl is told, now that there is a signature.
    fn signed(mut self, added: Added, body: Sending) -> SignedTransfer {
        if let Some(query) = added.query {
            self.url.set_target(&url_with_query(&self.request.url, &query));
        }
        for arg in &mut self.headers {
            arg.remove(&added.replaced);
        }
        let arguments = self.arguments();
        let Transfer { headers, data, .. } = self;
        SignedTransfer { added: added.headers, headers, body, data, arguments }
    }

    /// Declares how long standard input is, which curl does not know: S3 takes no upload in chunks
    /// of HTTP's own.
    fn declare_length(&mut self) -> Result<(), Failure> {
        if is_given(&self.headers, "Content-Length") || is_given(&self.headers, "Transfer-Encoding")
        {
            return Ok(());
        }
        let length = self.request.body.len()?.to_string();
        self.headers.push(HeaderArg::line("Transfer-Encoding:"));
        self.headers.push(HeaderArg::line(format!("Content-Length: {length}")));
        self.request.headers.push((b"Content-Length".to_vec(), length.into_bytes()));
        Ok(())
    }

    /// The arguments that are neither headers nor body, the URL last.
    fn arguments(&mut self) -> Vec<Vec<u8>> {
        let mut arguments = std::mem::take(&mut self.kept);
        let url = self.url.to_bytes();
        if self.url.has_dot_segments() && !self.path_as_is {
            arguments.push(b"--path-as-is".to_vec());
        }
        let has_glob = |text: &[u8]| text.iter().any(|byte| b"{}[]".contains(byte));
        let file_has_glob = matches!(&self.kind, Kind::Upload(file) if has_glob(file));
        if !self.globoff && (file_has_glob || has_glob(&url)) {
            arguments.push(b"-g".to_vec());
        }
        arguments.push(url);
        arguments
    }
}

/// What a signature changes of a request.
struct Added {
    headers: Vec<(&'static str, String)>,
    /// Those that it replaces.
    replaced: Vec<&'static str>,
    /// `None` if the query stays as it is.
    query: Option<Vec<u8>>,
}

impl Added {
    fn of(signed: &Signed<'_>) -> Added {
        Added {
            headers: signed.headers().map(|(name, value)| (name, value.to_owned())).collect(),
            replaced: signed.replaced_headers().collect(),
            query: signed.query().map(<[u8]>::to_vec),
        }
    }
}

/// Names and values.
type Headers = Vec<(Vec<u8>, Vec<u8>)>;

/// Whether curl takes this file of `-T` for standard input.
pub(super) fn is_stdin(file: &[u8]) -> bool {
    matches!(file, b"-" | b".")
}

/// Adds the headers of `--json`, for the sake of curls that do not know it.
fn add_json_headers(headers: &mut Vec<HeaderArg>) {
    for name in ["Content-Type", "Accept"] {
        if !is_given(headers, name) {
            headers.push(HeaderArg::line(format!("{name}: application/json")));
        }
    }
}

/// The headers that curl sends, as far as they are known: the user's, Host, and the Content-Type of
/// a body that curl writes.
fn sent_headers(args: &[HeaderArg], url: &Url, kind: &Kind) -> Result<Headers, Failure> {
    let mut sent = Headers::new();
    for line in lines(args) {
        let shown = line.split(|byte| matches!(byte, b':' | b';')).next().unwrap_or_default();
        let refuse = |why: &str| {
            Err(Failure::input(format_args!(
                "the header `{}` is refused: {why}",
                shown.escape_ascii()
            )))
        };
        if line.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0)) {
            return refuse(
                "it holds a line break or a NUL, behind which a second header would begin",
            );
        }
        if line.len() > LONGEST_HEADER {
            return refuse("it is longer than 64 KiB");
        }
        if headers::is_about(line, "Authorization") {
            return refuse("the Authorization header is the signature's: leave it out");
        }
        let Some((name, value)) = headers::sent(line) else {
            if headers::is_about(line, "Host") {
                return refuse("a request without a Host cannot be signed");
            }
            continue;
        };
        if name.eq_ignore_ascii_case(b"host") && (value.is_empty() || has_host(&sent)) {
            return refuse("a signed request has one Host, and it is not empty");
        }
        // curl adds the boundary to it.
        if matches!(kind, Kind::Form(_)) && name.eq_ignore_ascii_case(b"content-type") {
            continue;
        }
        sent.push((name.to_vec(), value.to_vec()));
    }
    if !has_host(&sent) {
        sent.push((b"Host".to_vec(), url.host_header().into_bytes()));
    }
    if matches!(kind, Kind::Data) && !is_given(args, "Content-Type") {
        sent.push((b"Content-Type".to_vec(), FORM.into()));
    }
    Ok(sent)
}

/// What the signature says of a form, whose boundary curl makes up.
fn form_payload(
    option: &[u8],
    options: &SigningOptions,
    signing: &Signing,
) -> Result<PayloadChoice, Failure> {
    let unsigned = PayloadChoice::Given(Payload::Unsigned);
    let service = signing.signer.service();
    let takes_unsigned = [Rules::S3, Rules::VPC_LATTICE].contains(&Rules::for_service(service));
    match options.payload {
        Some(choice) if choice == unsigned => Ok(unsigned),
        None if takes_unsigned => Ok(unsigned),
        _ => Err(Failure::input(format_args!(
            "`{}` is refused: curl alone writes the form, with a boundary that it makes up, so \
             there is no hash of it to sign{}",
            option.escape_ascii(),
            if takes_unsigned {
                ": use --payload unsigned".to_owned()
            } else {
                format!(", and `{service}` takes no unsigned body: use -d or -T")
            }
        ))),
    }
}

/// The body of `-T`: a file that stays where it is, or what can be read only once.
fn upload_of(file: &[u8]) -> Result<Body, Failure> {
    if is_stdin(file) {
        return Body::spool(std::io::stdin().lock());
    }
    let path = path_of(file);
    if data::is_regular(file) {
        return Ok(Body::File(path));
    }
    let input = std::fs::File::open(&path).map_err(|error| Failure::unreadable(&path, &error))?;
    if input.metadata().is_ok_and(|metadata| metadata.is_dir()) {
        return Err(Failure::input(format_args!("`{}` is a folder, not a file", path.display())));
    }
    Body::spool(input)
}

fn lines(args: &[HeaderArg]) -> impl Iterator<Item = &[u8]> {
    args.iter().flat_map(|arg| &arg.lines).map(Vec::as_slice)
}

fn is_given(args: &[HeaderArg], name: &str) -> bool {
    lines(args).any(|line| headers::is_about(line, name))
}

fn has_host(headers: &Headers) -> bool {
    headers.iter().any(|(name, _)| name.eq_ignore_ascii_case(b"host"))
}

/// What curl calls data.
const FORM: &str = "application/x-www-form-urlencoded";

/// More than any service takes, and less than curl reads as one line of a config file.
const LONGEST_HEADER: usize = 64 * 1024;
