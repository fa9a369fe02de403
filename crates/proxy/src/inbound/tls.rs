//! TLS towards clients.

use std::sync::Arc;

use rustls::{
    RootCertStore, ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::WebPkiClientVerifier,
};
use sha2::{Digest, Sha256};
use x509_cert::{Certificate, der::Decode};

use crate::{ConfigError, TlsConfig, upstream};

/// TLS 1.2 and 1.3, with HTTP/2 and HTTP/1.1 offered, and a certificate asked of clients if there is an authority
/// for them.
///
/// # Errors
/// If a file cannot be read, or holds something else.
pub(crate) fn server(config: &TlsConfig) -> Result<Arc<ServerConfig>, ConfigError> {
    let chain = upstream::certificates(&config.certificate)?;
    let shown = config.key.display();
    let key = PrivateKeyDer::from_pem_file(&config.key).map_err(|error| {
        ConfigError::new(format!("no private key can be read from `{shown}`: {error}"))
    })?;
    let provider = Arc::new(ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .expect("ring has suites for TLS 1.2 and 1.3");
    let builder = match &config.client_ca {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let refuse = |error: &dyn std::error::Error| {
                let shown = path.display();
                let message = format!("clients cannot be known by `{shown}`: {error}");
                ConfigError::new(message)
            };
            let mut roots = RootCertStore::empty();
            for certificate in upstream::certificates(path)? {
                roots.add(certificate).map_err(|error| refuse(&error))?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider);
            builder.with_client_cert_verifier(verifier.build().map_err(|error| refuse(&error))?)
        }
    };
    let mut server = builder.with_single_cert(chain, key).map_err(|error| {
        let certificate = config.certificate.display();
        ConfigError::new(format!("`{certificate}` and `{shown}` cannot be used for TLS: {error}"))
    })?;
    server.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(server))
}

/// What a certificate calls its owner; its fingerprint if that is nothing.
pub(crate) fn name(certificate: &CertificateDer<'_>) -> Arc<str> {
    let subject = Certificate::from_der(certificate)
        .map(|it| it.tbs_certificate().subject().to_string())
        .unwrap_or_default();
    if !subject.is_empty() {
        return subject.into();
    }
    let fingerprint = Sha256::digest(certificate);
    let digits = fingerprint.iter().map(|byte| format!("{byte:02x}"));
    digits.collect::<String>().into()
}
