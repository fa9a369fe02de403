//! A certificate authority of one's own, and the certificates that it makes for the names of services.

use std::{
    fmt, fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    num::NonZeroUsize,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use lru::LruCache;
use rcgen::{
    BasicConstraints, CertificateParams, CidrSubnet, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, GeneralSubtree, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    NameConstraints, PublicKeyData, SanType, SerialNumber, SignatureAlgorithm, SigningKey,
};
use rustls::{
    ServerConfig,
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer},
    server::{ClientHello, NoServerSessionStorage, ResolvesServerCert},
    sign::CertifiedKey,
};
use time::OffsetDateTime;
use x509_parser::{
    certificate::X509Certificate, extensions::GeneralName, prelude::FromDer, time::ASN1Time,
};
use zeroize::{Zeroize, Zeroizing};

use crate::{ConfigError, secrets, upstream};

/// A new certificate authority, by which a proxy shows clients certificates for the names of services.
///
/// Whoever has its key can pretend to be a service towards all that trust the certificate, so it vouches
/// only for the names that it was made for, and for no address.
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use countersign_proxy::NewCa;
///
/// let ca = NewCa::generate(&["amazonaws.com"], SystemTime::now(), Duration::from_secs(86_400))?;
/// assert!(ca.certificate().starts_with("-----BEGIN CERTIFICATE-----"));
/// assert!(NewCa::generate(&["*.amazonaws.com"], SystemTime::now(), Duration::MAX).is_err());
/// # Ok::<(), countersign_proxy::ConfigError>(())
/// ```
pub struct NewCa {
    certificate: String,
    key: Zeroizing<String>,
}

impl NewCa {
    /// Makes an authority over P-256 that holds from an hour before `now` on, and vouches for these names and
    /// all below them; for any name if there is none.
    ///
    /// # Errors
    /// If one of them is no name, or the time is beyond what certificates can say.
    pub fn generate(
        permitted: &[impl AsRef<str>],
        now: SystemTime,
        valid: Duration,
    ) -> Result<NewCa, ConfigError> {
        let cannot = |what: &dyn fmt::Display| {
            ConfigError::new(format!("no certificate authority can be made: {what}"))
        };
        let until = now
            .checked_add(valid)
            .filter(|until| until.duration_since(UNIX_EPOCH).is_ok_and(|it| it < LONGEST))
            .ok_or_else(|| cannot(&"it would end beyond all calendars"))?;
        let mut names = Vec::with_capacity(permitted.len());
        for name in permitted {
            let name = name.as_ref().to_ascii_lowercase();
            if !is_name(&name) {
                let name = name.escape_debug();
                return Err(cannot(&format_args!("`{name}` is no name as `amazonaws.com`")));
            }
            names.push(GeneralSubtree::DnsName(name));
        }
        let any = [IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V6(Ipv6Addr::UNSPECIFIED)];
        let no_address =
            any.map(|it| GeneralSubtree::IpAddress(CidrSubnet::from_addr_prefix(it, 0)));
        let serial = serial().map_err(|error| cannot(&error))?;
        let mut params = CertificateParams::default();
        params.not_before = OffsetDateTime::from(now - AN_HOUR);
        params.not_after = OffsetDateTime::from(until);
        // Two of them in one bundle have different names.
        let tag = hex(&serial[..4]);
        params.distinguished_name = called(&format!("countersign proxy, local CA {tag}"));
        params.serial_number = Some(SerialNumber::from_slice(&serial));
        // It makes no other authorities.
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.name_constraints = Some(NameConstraints {
            permitted_subtrees: names,
            excluded_subtrees: no_address.to_vec(),
        });
        let key = KeyPair::generate().map_err(|error| cannot(&error))?;
        let key = CaKey(key);
        let certificate = params.self_signed(&key).map_err(|error| cannot(&error))?;
        Ok(NewCa { certificate: certificate.pem(), key: Zeroizing::new(key.0.serialize_pem()) })
    }

    /// The certificate, which clients are to trust, as PEM.
    pub fn certificate(&self) -> &str {
        &self.certificate
    }

    /// The key, which nobody else may read, as PEM.
    pub fn key(&self) -> &str {
        &self.key
    }
}

impl fmt::Debug for NewCa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewCa").field("certificate", &self.certificate).finish_non_exhaustive()
    }
}

/// An authority that makes certificates for names, as they are asked for.
pub(crate) struct Ca {
    issuer: Issuer<'static, CaKey>,
    /// Its certificate, and those by which others may trust it.
    chain: Vec<CertificateDer<'static>>,
    ends: SystemTime,
    permitted: Vec<String>,
    excluded: Vec<String>,
    /// The key of all certificates that it makes, which lives as long as the proxy.
    key: KeyPair,
    signer: Arc<dyn rustls::sign::SigningKey>,
    provider: Arc<CryptoProvider>,
    made: Mutex<LruCache<String, Made>>,
    /// What is amiss with it, though it can be used.
    pub(crate) warnings: Vec<String>,
}

struct Made {
    tls: Arc<ServerConfig>,
    at: SystemTime,
}

impl Ca {
    /// Reads an authority from two PEM files.
    ///
    /// # Errors
    /// If they are not that, do not belong together, or it holds no more.
    pub(crate) fn read(certificate: &Path, key: &Path, now: SystemTime) -> Result<Ca, ConfigError> {
        let (of, of_key) = (certificate.display(), key.display());
        let wrong = |what: &dyn fmt::Display| ConfigError::new(format!("`{of}` {what}"));
        let chain = upstream::certificates(certificate)?;
        let first = &chain[0];
        let (_, x509) = X509Certificate::from_der(first)
            .map_err(|error| wrong(&format_args!("holds no certificate: {error}")))?;
        let signs =
            x509.key_usage().is_ok_and(|usage| usage.is_none_or(|it| it.value.key_cert_sign()));
        if !x509.is_ca() || !signs {
            return Err(wrong(
                &"is no certificate of an authority: `countersign proxy ca` makes one",
            ));
        }
        let seconds = |at: ASN1Time| u64::try_from(at.timestamp()).unwrap_or_default();
        let [begins, ends] = [x509.validity().not_before, x509.validity().not_after]
            .map(|at| UNIX_EPOCH + Duration::from_secs(seconds(at)));
        if !(begins..ends).contains(&now) {
            return Err(wrong(&"does not hold now: it begins or ended at another time"));
        }
        let text = fs::read_to_string(key).map(Zeroizing::new).map_err(|error| {
            ConfigError::new(format!("the key of the authority `{of_key}` cannot be read: {error}"))
        })?;
        let pair = KeyPair::from_pem(&text).map(CaKey).map_err(|_| {
            ConfigError::new(format!(
                "`{of_key}` holds no key that signs, in PKCS #8 and without a password"
            ))
        })?;
        if pair.subject_public_key_info() != x509.public_key().raw {
            return Err(ConfigError::new(format!("`{of_key}` is not the key of `{of}`")));
        }
        let (permitted, excluded) = constraints(&x509).map_err(|error| wrong(&error))?;
        let issuer = Issuer::from_ca_cert_der(first, pair)
            .map_err(|error| wrong(&format_args!("cannot make certificates: {error}")))?;
        let mut warnings = Vec::new();
        if secrets::is_open(key) {
            warnings.push(format!(
                "others may read `{of_key}`, by which they can pretend to be any service that it \
                 vouches for: chmod 600 it"
            ));
        }
        if ends.duration_since(now).is_ok_and(|left| left < A_MONTH) {
            warnings.push(format!("`{of}` ends within a month"));
        }
        let key = KeyPair::generate().map_err(|error| wrong(&error))?;
        let der = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialized_der()));
        let signer = ring::sign::any_ecdsa_type(&der).map_err(|error| wrong(&error))?;
        Ok(Ca {
            issuer,
            ends,
            permitted,
            excluded,
            key,
            signer,
            provider: Arc::new(ring::default_provider()),
            made: Mutex::new(LruCache::new(MOST_NAMES)),
            warnings,
            chain,
        })
    }

    /// Whether it may vouch for a name: clients trust no other of its certificates.
    pub(crate) fn permits(&self, name: &str) -> bool {
        let is_below = |suffix: &String| {
            let rest = name.strip_suffix(suffix.trim_start_matches('.'));
            rest.is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
        };
        (self.permitted.is_empty() || self.permitted.iter().any(is_below))
            && !self.excluded.iter().any(is_below)
    }

    /// TLS as the service of this name, and of no other.
    ///
    /// # Errors
    /// If no certificate can be made.
    pub(crate) fn tls(&self, name: &str, now: SystemTime) -> Result<Arc<ServerConfig>, String> {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = made.get(name)
            && now.duration_since(known.at).is_ok_and(|age| age < RENEWED)
        {
            return Ok(Arc::clone(&known.tls));
        }
        let tls = Arc::new(self.make(name, now)?);
        made.put(name.to_owned(), Made { tls: Arc::clone(&tls), at: now });
        Ok(tls)
    }

    fn make(&self, name: &str, now: SystemTime) -> Result<ServerConfig, String> {
        let mut chain = vec![self.leaf(name, now)?];
        chain.extend(self.chain.iter().cloned());
        let certified = Arc::new(CertifiedKey::new(chain, Arc::clone(&self.signer)));
        let mut tls = ServerConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(Only { name: name.to_owned(), certified }));
        tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        // A handshake costs less than the sessions of all clients to remember.
        tls.session_storage = Arc::new(NoServerSessionStorage {});
        tls.send_tls13_tickets = 0;
        Ok(tls)
    }

    /// A certificate for one name.
    fn leaf(&self, name: &str, now: SystemTime) -> Result<CertificateDer<'static>, String> {
        let cannot = |error: rcgen::Error| format!("there is no certificate for `{name}`: {error}");
        let mut params = CertificateParams::default();
        // A client's clock may be behind.
        params.not_before = OffsetDateTime::from(now - AN_HOUR);
        params.not_after = OffsetDateTime::from((now + VALID).min(self.ends));
        params.distinguished_name = called("countersign proxy");
        params.serial_number = Some(SerialNumber::from_slice(&serial()?));
        params.subject_alt_names = vec![SanType::DnsName(name.try_into().map_err(cannot)?)];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let leaf = params.signed_by(&self.key, &self.issuer).map_err(cannot)?;
        Ok(leaf.der().clone())
    }
}

/// Whether a client that names this host in its first message means the one of the tunnel.
pub(crate) fn is_meant(said: Option<&str>, name: &str) -> bool {
    said.is_none_or(|said| said.strip_suffix('.').unwrap_or(said).eq_ignore_ascii_case(name))
}

/// The certificate of one name, for whoever names it or none.
#[derive(Debug)]
struct Only {
    name: String,
    certified: Arc<CertifiedKey>,
}

impl ResolvesServerCert for Only {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        is_meant(hello.server_name(), &self.name).then(|| Arc::clone(&self.certified))
    }
}

/// The key of an authority, wiped when it goes.
struct CaKey(KeyPair);

impl SigningKey for CaKey {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        self.0.sign(message)
    }
}

impl PublicKeyData for CaKey {
    fn der_bytes(&self) -> &[u8] {
        self.0.der_bytes()
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        self.0.algorithm()
    }
}

impl Drop for CaKey {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// The names that an authority may vouch for, and those that it may not.
fn constraints(x509: &X509Certificate<'_>) -> Result<(Vec<String>, Vec<String>), String> {
    let Some(constraints) = x509.name_constraints().map_err(|error| error.to_string())? else {
        return Ok(Default::default());
    };
    let names = |subtrees: &Option<Vec<x509_parser::extensions::GeneralSubtree<'_>>>| {
        let subtrees = subtrees.iter().flatten();
        let name = |base: &GeneralName<'_>| match base {
            GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
            _ => None,
        };
        subtrees.filter_map(|subtree| name(&subtree.base)).collect()
    };
    let constraints = constraints.value;
    Ok((names(&constraints.permitted_subtrees), names(&constraints.excluded_subtrees)))
}

/// Whether a text is the name of a host or domain, as DNS and certificates have it: in lower case, without
/// a dot at its end.
pub(crate) fn is_name(text: &str) -> bool {
    let is_label = |label: &str| {
        let is_good = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_');
        (1..=63).contains(&label.len()) && label.bytes().all(is_good)
    };
    text.len() <= 253 && text.split('.').all(is_label)
}

fn called(name: &str) -> DistinguishedName {
    let mut names = DistinguishedName::new();
    names.push(DnType::CommonName, name);
    names
}

/// A number that no other certificate has.
fn serial() -> Result<[u8; 16], String> {
    let mut serial = [0; 16];
    let random = ring::default_provider().secure_random;
    random.fill(&mut serial).map_err(|_| "the system gives no random bytes".to_owned())?;
    // Positive, and as long as it looks.
    serial[0] = serial[0] & 0x7f | 0x40;
    Ok(serial)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

const AN_HOUR: Duration = Duration::from_secs(60 * 60);
const A_MONTH: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// For how long a certificate holds, and after how long another takes its place: connections that were
/// made with it live shorter than the rest.
const VALID: Duration = Duration::from_secs(7 * 24 * 60 * 60);
const RENEWED: Duration = Duration::from_secs(24 * 60 * 60);
/// The year 9999 is the last that certificates know.
const LONGEST: Duration = Duration::from_secs(253_402_300_799);
const MOST_NAMES: NonZeroUsize = NonZeroUsize::new(1024).expect("it is not zero");

#[cfg(test)]
mod tests {
    use super::*;

    /// An authority that holds for so many days from now on.
    fn authority(now: SystemTime, days: u32) -> Ca {
        let folder = tempfile::tempdir().expect("a folder");
        let [certificate, key] = ["ca.pem", "ca.key"].map(|name| folder.path().join(name));
        let ca = NewCa::generate(&["test"], now, RENEWED * days).expect("an authority");
        fs::write(&certificate, ca.certificate()).expect("it is written");
        fs::write(&key, ca.key()).expect("it is written");
        Ca::read(&certificate, &key, now).expect("it can be read")
    }

    #[test]
    fn a_certificate_is_kept_for_a_day_and_made_anew_when_the_clock_goes_back() {
        let now = SystemTime::now();
        let ca = authority(now, 365);
        let first = ca.tls("a.test", now).expect("a certificate");
        let same = |name, at| Arc::ptr_eq(&first, &ca.tls(name, at).expect("a certificate"));
        assert!(same("a.test", now + RENEWED / 2));
        assert!(!same("b.test", now));
        assert!(same("a.test", now));
        assert!(!same("a.test", now - AN_HOUR));
        assert!(!same("a.test", now + RENEWED));
    }

    #[test]
    fn a_certificate_holds_from_an_hour_ago_for_a_week_and_not_beyond_its_authority() {
        let now = SystemTime::now();
        for (days, expected) in [(365, VALID), (2, RENEWED * 2)] {
            let ca = authority(now, days);
            let leaf = ca.leaf("a.test", now).expect("a certificate");
            let (_, leaf) = X509Certificate::from_der(&leaf).expect("a certificate");
            let seconds = |at: ASN1Time| at.timestamp().unsigned_abs();
            let unix = |at: SystemTime| at.duration_since(UNIX_EPOCH).expect("now").as_secs();
            assert_eq!(seconds(leaf.validity().not_before), unix(now - AN_HOUR));
            assert_eq!(seconds(leaf.validity().not_after), unix(now + expected));
            assert!(!leaf.is_ca());
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_key_that_others_may_read_and_an_authority_that_ends_soon_are_told() {
        use std::os::unix::fs::PermissionsExt;

        let folder = tempfile::tempdir().expect("a folder");
        let [certificate, key] = ["ca.pem", "ca.key"].map(|name| folder.path().join(name));
        let now = SystemTime::now();
        for (mode, days, expected) in [
            (0o600, 365, &[][..]),
            (0o440, 365, &[]),
            (0o644, 365, &["chmod 600"]),
            (0o600, 2, &["within a month"]),
        ] {
            let ca = NewCa::generate(&["test"], now, RENEWED * days).expect("an authority");
            fs::write(&certificate, ca.certificate()).expect("it is written");
            let _ = fs::remove_file(&key);
            fs::write(&key, ca.key()).expect("it is written");
            fs::set_permissions(&key, fs::Permissions::from_mode(mode)).expect("it is ours");
            let told = Ca::read(&certificate, &key, now).expect("it can be read").warnings;
            assert_eq!(told.len(), expected.len(), "{told:?}");
            assert!(told.iter().zip(expected).all(|(told, part)| told.contains(part)), "{told:?}");
        }
    }

    #[test]
    fn no_two_certificates_have_the_same_number() {
        let now = SystemTime::now();
        let ca = authority(now, 365);
        let serial = || {
            let leaf = ca.leaf("a.test", now).expect("a certificate");
            let (_, leaf) = X509Certificate::from_der(&leaf).expect("a certificate");
            leaf.raw_serial().to_vec()
        };
        assert_ne!(serial(), serial());
    }

    #[test]
    fn a_debug_text_does_not_hold_the_key() {
        let ca = NewCa::generate(&["test"], SystemTime::now(), RENEWED).expect("an authority");
        assert!(ca.key().contains("PRIVATE KEY") && !format!("{ca:?}").contains("PRIVATE KEY"));
    }

    #[test]
    fn no_names_beyond_all_calendars_or_that_are_none() {
        let now = SystemTime::now();
        for (name, valid) in [("a b", RENEWED), ("", RENEWED), (".test", RENEWED), ("a", LONGEST)] {
            assert!(NewCa::generate(&[name], now, valid).is_err(), "{name}");
        }
    }
}
