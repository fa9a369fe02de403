//! How services depart from the general algorithm, as data.

/// How a service departs from the general algorithm.
///
/// [`Signer::new`](crate::Signer::new) picks the rules by the service's signing name; a look-alike
/// server or an API behind a gateway may need one of the switches.
///
/// ```
/// use countersign::{Rules, Signer};
///
/// assert_eq!(Rules::for_service("s3"), Rules::S3);
/// assert_eq!(Rules::for_service("monitoring"), Rules::GENERAL);
/// let signer = Signer::new("eu-central-1", "execute-api")
///     .with_rules(Rules::GENERAL.with_double_encode(false));
/// # let _ = signer;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rules {
    pub(crate) double_encode: bool,
    pub(crate) normalize_path: bool,
    /// Whether a `%` that is no escape is an error where the path is decoded, or stands for itself.
    pub(crate) strict_path: bool,
    pub(crate) content_sha256: ContentSha256,
    /// The service takes no other payload than `UNSIGNED-PAYLOAD`.
    pub(crate) always_unsigned: bool,
    /// Presigned URLs say `UNSIGNED-PAYLOAD` unless the caller knows the body.
    pub(crate) presigned_unsigned: bool,
    pub(crate) token_after_signing: bool,
    /// A hop in front of the service rewrites `content-length`.
    pub(crate) content_length_unsigned: bool,
}

/// When the header form writes `x-amz-content-sha256`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum ContentSha256 {
    Always,
    Never,
    /// When the payload is not a plain hash, which the server could not guess.
    Unguessable,
}

/// Whether requests to the service may be signed by a session of S3 Express: whatever its other rules are.
pub(crate) fn has_s3_sessions(signing_name: &[u8]) -> bool {
    signing_name == b"s3express"
}

impl Rules {
    /// What the documents of Signature Version 4 say: the path normalized and encoded a second time.
    pub const GENERAL: Rules = Rules {
        double_encode: true,
        normalize_path: true,
        strict_path: false,
        content_sha256: ContentSha256::Unguessable,
        always_unsigned: false,
        presigned_unsigned: false,
        token_after_signing: false,
        content_length_unsigned: false,
    };

    /// S3, S3 Express, S3 on Outposts and S3 Object Lambda: the path as it is, encoded once.
    pub const S3: Rules = Rules {
        double_encode: false,
        normalize_path: false,
        strict_path: true,
        content_sha256: ContentSha256::Always,
        presigned_unsigned: true,
        ..Rules::GENERAL
    };

    /// Glacier, which wants `x-amz-content-sha256`.
    pub const GLACIER: Rules = Rules { content_sha256: ContentSha256::Always, ..Rules::GENERAL };

    /// IoT's device gateway: the session token is added behind the signature.
    pub const IOT_DEVICE_GATEWAY: Rules = Rules { token_after_signing: true, ..Rules::GENERAL };

    /// OpenSearch Serverless: `x-amz-content-sha256`, and `content-length` left out.
    pub const OPENSEARCH_SERVERLESS: Rules =
        Rules { content_length_unsigned: true, ..Rules::GLACIER };

    /// VPC Lattice, which supports no other payload than an unsigned one.
    pub const VPC_LATTICE: Rules = Rules { always_unsigned: true, ..Rules::GLACIER };

    /// The rules of the service with this signing name; [`Rules::GENERAL`] for all that have none.
    pub fn for_service(signing_name: &str) -> Rules {
        Rules::for_service_bytes(signing_name.as_bytes())
    }

    /// The same, for a name as a request holds it.
    pub(crate) fn for_service_bytes(signing_name: &[u8]) -> Rules {
        match signing_name {
            b"s3" | b"s3express" | b"s3-outposts" | b"s3-object-lambda" => Rules::S3,
            b"aoss" => Rules::OPENSEARCH_SERVERLESS,
            b"glacier" => Rules::GLACIER,
            b"iotdevicegateway" => Rules::IOT_DEVICE_GATEWAY,
            b"vpc-lattice-svcs" => Rules::VPC_LATTICE,
            _ => Rules::GENERAL,
        }
    }

    /// Whether a presigned URL says `UNSIGNED-PAYLOAD` unless it is told what the body is.
    ///
    /// ```
    /// # use countersign::Rules;
    /// assert!(Rules::S3.presigns_unsigned() && !Rules::GENERAL.presigns_unsigned());
    /// ```
    pub const fn presigns_unsigned(self) -> bool {
        self.presigned_unsigned
    }

    /// Whether the path is encoded as it stands, its `%` included, or decoded once and encoded once.
    ///
    /// ```
    /// # use countersign::Rules;
    /// assert_eq!(Rules::GENERAL.with_double_encode(true), Rules::GENERAL);
    /// ```
    #[must_use]
    pub const fn with_double_encode(self, yes: bool) -> Rules {
        Rules { double_encode: yes, ..self }
    }

    /// Whether empty and dot segments are taken out of the path.
    ///
    /// ```
    /// # use countersign::Rules;
    /// assert_ne!(Rules::GENERAL.with_normalize_path(false), Rules::GENERAL);
    /// ```
    #[must_use]
    pub const fn with_normalize_path(self, yes: bool) -> Rules {
        Rules { normalize_path: yes, ..self }
    }

    /// Writes `x-amz-content-sha256` always or never, whatever the payload.
    ///
    /// ```
    /// # use countersign::Rules;
    /// assert_eq!(Rules::GENERAL.with_content_sha256_header(true), Rules::GLACIER);
    /// ```
    #[must_use]
    pub const fn with_content_sha256_header(self, yes: bool) -> Rules {
        let content_sha256 = if yes { ContentSha256::Always } else { ContentSha256::Never };
        Rules { content_sha256, ..self }
    }

    /// Whether the session token is added behind the signature and is no part of what is signed.
    ///
    /// ```
    /// # use countersign::Rules;
    /// assert_eq!(Rules::GENERAL.with_token_after_signing(true), Rules::IOT_DEVICE_GATEWAY);
    /// ```
    #[must_use]
    pub const fn with_token_after_signing(self, yes: bool) -> Rules {
        Rules { token_after_signing: yes, ..self }
    }
}
