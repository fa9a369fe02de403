//! A curl command line, read by curl's own rules.

use super::{
    data::Piece,
    table::{self, CurlOption, Meaning},
};
use crate::{credential_options, failure::Failure};

/// What a curl command line says, as far as a signature is concerned.
///
/// Nothing has been read or resolved yet.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct CommandLine {
    pub(super) method: Option<Vec<u8>>,
    pub(super) url: Vec<u8>,
    /// The values of `-H`.
    pub(super) headers: Vec<Vec<u8>>,
    pub(super) data: Vec<Piece>,
    pub(super) upload: Option<Vec<u8>>,
    /// The first option that adds to a multipart form.
    pub(super) form: Option<Vec<u8>>,
    pub(super) get: bool,
    pub(super) head: bool,
    pub(super) path_as_is: bool,
    pub(super) globoff: bool,
    pub(super) https_by_default: bool,
    /// The arguments that curl gets as they are.
    pub(super) kept: Vec<Vec<u8>>,
}

impl CommandLine {
    /// Reads the arguments behind `curl`.
    pub(super) fn parse(args: Vec<Vec<u8>>) -> Result<CommandLine, Failure> {
        let mut line = CommandLine::default();
        let mut url = None;
        let mut args = args.into_iter();
        let mut only_urls = false;
        while let Some(arg) = args.next() {
            match &arg[..] {
                b"--" if !only_urls => only_urls = true,
                [b'-', b'-', ..] if !only_urls => line.read_long(arg, &mut args, &mut url)?,
                [b'-', letters @ ..] if !only_urls => {
                    line.read_letters(letters, &mut args, &mut url)?;
                }
                _ => set_url(&mut url, arg)?,
            }
        }
        line.url = url.ok_or_else(|| Failure::input("there is no URL to request: give one"))?;
        line.check()?;
        Ok(line)
    }

    fn read_long(
        &mut self,
        arg: Vec<u8>,
        rest: &mut impl Iterator<Item = Vec<u8>>,
        url: &mut Option<Vec<u8>>,
    ) -> Result<(), Failure> {
        if let Some(option) = table::find(&arg) {
            let value = if option.takes_value { Some(value_of(&arg, rest.next())?) } else { None };
            return self.take(option, arg, value, url);
        }
        match table::find_negated(&arg).map(|option| option.meaning) {
            Some(Meaning::Get) => self.get = false,
            Some(meaning) => {
                match meaning {
                    Meaning::GlobOff => self.globoff = false,
                    Meaning::Head => self.head = false,
                    Meaning::PathAsIs => self.path_as_is = false,
                    _ => {}
                }
                self.kept.push(arg);
            }
            None => return Err(unknown(&arg)),
        }
        Ok(())
    }

    /// Reads letters that share a dash, as in `-sSo file`.
    fn read_letters(
        &mut self,
        mut letters: &[u8],
        rest: &mut impl Iterator<Item = Vec<u8>>,
        url: &mut Option<Vec<u8>>,
    ) -> Result<(), Failure> {
        if letters.is_empty() {
            return Err(unknown(b"-"));
        }
        while let [letter, behind @ ..] = letters {
            let name = vec![b'-', *letter];
            let option = table::find(&name).ok_or_else(|| unknown(&name))?;
            letters = behind;
            let value = match option.takes_value {
                false => None,
                true => Some(match std::mem::take(&mut letters) {
                    [] => value_of(&name, rest.next())?,
                    glued => glued.to_vec(),
                }),
            };
            self.take(option, name, value, url)?;
        }
        Ok(())
    }

    fn take(
        &mut self,
        CurlOption { names, meaning, .. }: CurlOption,
        name: Vec<u8>,
        value: Option<Vec<u8>>,
        url: &mut Option<Vec<u8>>,
    ) -> Result<(), Failure> {
        let names = names.replace(' ', "/");
        let refuse = |why: &str| Err(Failure::input(format_args!("`{names}` is refused: {why}")));
        let text = value.as_deref().unwrap_or_default();
        let has_line_break = text.iter().any(|byte| matches!(byte, b'\r' | b'\n'));
        match meaning {
            Meaning::Refused(why) => return refuse(why),
            Meaning::Cookie | Meaning::ProxyHeader | Meaning::UnsignedHeader if has_line_break => {
                return refuse(
                    "its value holds a line break, behind which a second header would begin",
                );
            }
            Meaning::Cookie if !text.contains(&b'=') => {
                return refuse(
                    "without a `=` it names a file of cookies: give them as `name=value`",
                );
            }
            Meaning::ProxyHeader if !is_for_proxy(text) => {
                return refuse(
                    "a proxy may pass the header on, unsigned: only those whose names begin with \
                     `Proxy-` are taken",
                );
            }
            Meaning::ProtoDefault => match text {
                b"http" => self.https_by_default = false,
                b"https" => self.https_by_default = true,
                _ => return refuse("only http and https are signed"),
            },
            Meaning::Upload if text.is_empty() => return refuse("the name of the file is empty"),
            Meaning::Upload if self.upload.is_some() => {
                return refuse("a second file would go to a second URL: upload one at a time");
            }
            Meaning::Form => self.form = self.form.take().or_else(|| Some(name.clone())),
            Meaning::Get => self.get = true,
            Meaning::GlobOff => self.globoff = true,
            Meaning::Head => self.head = true,
            Meaning::PathAsIs => self.path_as_is = true,
            Meaning::Method => self.method = Some(text.to_vec()),
            Meaning::Cookie
            | Meaning::Data(_)
            | Meaning::Harmless
            | Meaning::Header
            | Meaning::ProxyHeader
            | Meaning::UnsignedHeader
            | Meaning::Upload
            | Meaning::Url => {}
        }
        match (meaning, value) {
            (Meaning::Data(encoding), Some(value)) => {
                self.data.push(Piece { option: name, encoding, value });
            }
            (Meaning::Header, Some(value)) => self.headers.push(value),
            (Meaning::Upload, value) => self.upload = value,
            (Meaning::Url, Some(value)) => set_url(url, value)?,
            // The scheme and the data are in the URL that curl gets.
            (Meaning::Get | Meaning::ProtoDefault, _) => {}
            (_, value) => {
                self.kept.push(name);
                self.kept.extend(value);
            }
        }
        Ok(())
    }

    /// Refuses what curl cannot send in one request.
    fn check(&self) -> Result<(), Failure> {
        let data = self.data.first().map(|piece| &piece.option[..]);
        let upload = self.upload.as_ref().map(|_| &b"-T"[..]);
        let form = self.form.as_deref();
        // With -G the data is no body, so -I may go with it.
        let has_query = self.get && upload.is_none() && form.is_none();
        let head = (self.head && !has_query).then_some(&b"-I"[..]);
        let get = (self.get && !has_query).then_some(&b"-G"[..]);
        let mut kinds = [data, upload, form, head, get].into_iter().flatten();
        let (Some(one), Some(other)) = (kinds.next(), kinds.next()) else { return Ok(()) };
        Err(Failure::input(format_args!(
            "`{}` and `{}` ask for two different requests: leave one out",
            one.escape_ascii(),
            other.escape_ascii()
        )))
    }
}

fn set_url(url: &mut Option<Vec<u8>>, value: Vec<u8>) -> Result<(), Failure> {
    match url.replace(value) {
        None => Ok(()),
        Some(_) => Err(Failure::input(
            "there is more than one URL, and a signature holds for one request: call once for each",
        )),
    }
}

fn value_of(name: &[u8], value: Option<Vec<u8>>) -> Result<Vec<u8>, Failure> {
    value.ok_or_else(|| {
        Failure::input(format_args!(
            "`{}` is the last argument but needs a value",
            name.escape_ascii()
        ))
    })
}

fn unknown(arg: &[u8]) -> Failure {
    // What stands behind a `=` may be a secret.
    let name = arg.split(|&byte| byte == b'=').next().unwrap_or_default();
    if let Some(failure) =
        str::from_utf8(name).ok().and_then(credential_options::no_credentials_here)
    {
        return failure;
    }
    let why = if name.len() < arg.len() && table::find(name).is_some() {
        "curl wants its value as the next argument, not behind a `=`"
    } else {
        "what this option does to the request is not known here (it must be one of curl's, in full)"
    };
    Failure::input(format_args!("`{}` is refused: {why}", name.escape_ascii()))
}

fn is_for_proxy(header: &[u8]) -> bool {
    header.get(..6).is_some_and(|start| start.eq_ignore_ascii_case(b"proxy-"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::curl::table::Encoding;

    fn parse(args: &[&str]) -> Result<CommandLine, Failure> {
        CommandLine::parse(args.iter().map(|arg| arg.as_bytes().to_vec()).collect())
    }

    fn line(args: &[&str]) -> CommandLine {
        parse(args).unwrap_or_else(|failure| panic!("{args:?}: {failure}"))
    }

    fn kept(args: &[&str]) -> Vec<String> {
        let kept = line(args).kept;
        kept.iter().map(|arg| String::from_utf8_lossy(arg).into_owned()).collect()
    }

    #[test]
    fn letters_share_a_dash_and_the_last_may_take_a_value() {
        assert_eq!(kept(&["-sSo", "f", "u"]), ["-s", "-S", "-o", "f"]);
        assert_eq!(kept(&["-sSof", "u"]), ["-s", "-S", "-o", "f"]);
        assert_eq!(line(&["-XPUT", "u"]).method.as_deref(), Some(&b"PUT"[..]));
        assert_eq!(line(&["-sd@f", "u"]).data[0].value, b"@f");
    }

    #[test]
    fn a_value_is_never_taken_for_an_option() {
        assert_eq!(kept(&["-o", "-L", "u"]), ["-o", "-L"]);
        assert_eq!(kept(&["--output", "--next", "u"]), ["--output", "--next"]);
        assert_eq!(line(&["-d", "-L", "u"]).data[0].value, b"-L");
    }

    #[test]
    fn behind_two_dashes_stands_the_url() {
        assert_eq!(line(&["-s", "--", "-L"]).url, b"-L");
        assert!(parse(&["--", "u", "--"]).is_err());
    }

    #[test]
    fn the_last_method_counts_and_switches_are_turned_off() {
        assert_eq!(
            line(&["-XPUT", "--request", "POST", "u"]).method.as_deref(),
            Some(&b"POST"[..])
        );
        assert!(!line(&["-G", "--no-get", "u"]).get);
        assert!(!line(&["-g", "--no-globoff", "u"]).globoff);
        assert!(!line(&["--path-as-is", "--no-path-as-is", "u"]).path_as_is);
        assert_eq!(
            kept(&["--no-location", "--no-progress-meter", "u"]),
            ["--no-location", "--no-progress-meter"]
        );
    }

    #[test]
    fn what_changes_the_request_is_taken_out_and_written_anew() {
        let line = line(&["-H", "A: b", "--json", "{}", "-k", "--url", "u", "-XPUT", "-b", "a=b"]);
        assert_eq!(line.headers, [b"A: b"]);
        assert_eq!(
            line.data,
            [Piece { option: b"--json".to_vec(), encoding: Encoding::Json, value: b"{}".to_vec() }]
        );
        assert_eq!(line.url, b"u");
        assert_eq!(line.kept, ["-k", "-X", "PUT", "-b", "a=b"].map(str::as_bytes));
    }

    #[test]
    fn what_would_alter_the_request_unseen_is_refused_by_name() {
        for args in [
            &["-L", "u"][..],
            &["-sL", "u"],
            &["--location", "u"],
            &["--location-trusted", "u"],
            &["u", "--next", "u"],
            &["-:", "u"],
            &["-u", "a:b", "u"],
            &["--user", "a:b", "u"],
            &["--aws-sigv4", "aws:amz", "u"],
            &["--oauth2-bearer", "t", "u"],
            &["--digest", "u"],
            &["--netrc", "u"],
            &["-K", "f", "u"],
            &["--config", "f", "u"],
            &["--request-target", "/b", "u"],
            &["--url-query", "a=b", "u"],
            &["-C", "5", "u"],
            &["-z", "f", "u"],
            &["--crlf", "u"],
            &["--hsts", "f", "u"],
            &["-b", "file", "u"],
            &["-b", "a=b\r\nX-Amz-Copy-Source: c", "u"],
            &["-A", "a\nb", "u"],
            &["--proxy-header", "X-Amz-Acl: x", "u"],
            &["--proto-default", "ftp", "u"],
            &["-T", "", "u"],
            &["-V"],
            &["--no-such-option", "u"],
            &["--data=x", "u"],
            &["--loc", "u"],
            &["--no-request", "u"],
            &["-", "u"],
            &["-s\u{fc}", "u"],
        ] {
            let failure = parse(args).expect_err(args[0]);
            assert!(failure.message.contains("is refused"), "{args:?}: {failure}");
            let option = args.iter().find(|arg| arg.starts_with('-')).expect("an option");
            let name = option.split('=').next().unwrap_or_default().replace("-sL", "-L");
            assert!(failure.message.contains(&name) || !name.is_ascii(), "{failure}");
        }
    }

    #[test]
    fn a_request_that_curl_would_not_send_is_refused() {
        for args in [
            &["-d", "a", "-T", "f", "u"][..],
            &["-d", "a", "-F", "a=b", "u"],
            &["-d", "a", "-I", "u"],
            &["-T", "f", "-I", "u"],
            &["-T", "f", "-F", "a=b", "u"],
            &["-T", "f", "-G", "u"],
            &["-F", "a=b", "-I", "u"],
            &["-T", "f", "-T", "g", "u"],
            &["u", "v"],
            &["-s"],
            &["u", "-o"],
        ] {
            assert!(parse(args).is_err(), "{args:?}");
        }
        line(&["-G", "-I", "-d", "a", "u"]);
    }

    proptest! {
        #[test]
        fn no_argument_list_panics(args in prop::collection::vec(argument(), 0..8)) {
            let _ = CommandLine::parse(args);
        }

        #[test]
        fn what_is_accepted_is_accepted_again(args in prop::collection::vec(argument(), 0..6)) {
            if let Ok(line) = CommandLine::parse(args) {
                let again = [&line.kept[..], &[b"--".to_vec(), line.url.clone()]].concat();
                let again = CommandLine::parse(again).map(|again| again.kept);
                prop_assert_eq!(again.ok(), Some(line.kept));
            }
        }
    }

    fn argument() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            prop::collection::vec(any::<u8>(), 0..6),
            "-[a-zA-Z#:0-9]{0,4}".prop_map(String::into_bytes),
            prop::sample::select(vec![
                "--data", "--no-get", "--json", "-T", "--url", "--", "-", "a=b", "@f"
            ])
            .prop_map(|text| text.as_bytes().to_vec()),
        ]
    }
}
