//! Tokens that are signatures in disguise: the passwords, bearer tokens and URLs by which databases,
//! caches, clusters, brokers and repositories learn who is asking, without a call to AWS.
//!
//! Most are a presigned URL of a request that nobody means to send. Whoever gets the token, the database
//! say, shows it to AWS, and so learns whose key signed it. Making one takes no network: a
//! value says what the token is for, and its `sign` makes it.
//!
//! ```
//! use std::time::SystemTime;
//! use countersign::{Credentials, tokens::Rds};
//!
//! let credentials = Credentials::new("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY");
//! let rds = Rds::new("db.abc.eu-central-1.rds.amazonaws.com", 5432, "app", "eu-central-1");
//! let password = rds.sign(&credentials, SystemTime::now())?;
//! assert!(password.as_str().starts_with("db.abc.eu-central-1.rds.amazonaws.com:5432/?Action=connect"));
//! # Ok::<(), countersign::Error>(())
//! ```
//!
//! | token | who takes it | how long |
//! |---|---|---|
//! | [`Rds`] | RDS and Aurora: PostgreSQL, MySQL, MariaDB | 15 minutes |
//! | [`Dsql`] | Aurora DSQL | up to a week, 15 minutes unless said otherwise |
//! | [`ElastiCache`], [`MemoryDb`] | Valkey and Redis | 15 minutes |
//! | [`Eks`] | Kubernetes, as [`exec_credential`] | 15 minutes from its date |
//! | [`Msk`] | Kafka, as SASL/OAUTHBEARER | 15 minutes |
//! | [`CodeCommit`] | git, as user name and password | 15 minutes |
//! | [`Iot`] | MQTT over WebSocket | up to a week, 15 minutes unless said otherwise |
//! | [`Transcribe`] | streaming transcription over WebSocket | up to 5 minutes |
//! | [`Bedrock`] | Bedrock and what speaks OpenAI's dialect | up to 12 hours |
//! | [`CallerIdentity`] | whoever wants to know who you are: Vault and its like | 15 minutes |
//! | [`MongoDb`] | MongoDB, as `MONGODB-AWS` | 15 minutes |
//!
//! # A token is a credential
//!
//! Whoever has it is you, as far as it goes and until it expires; with temporary credentials their session
//! token stands in it. [`Token`] shows nothing of itself in `Debug`, has no `Display`, and is wiped from
//! memory when dropped. What [`Token::as_str`] is copied to is yours to guard: give it to a program by its
//! environment or standard input, not on its command line.
//!
//! A token dies with the credentials that signed it: [`Token::life`] says when that comes first.
//!
//! # What is no token
//!
//! **Redshift**, provisioned or serverless, takes none. The passwords of its IAM users are made by AWS, which
//! hands them out to who calls `GetClusterCredentials` (service `redshift`), or `GetCredentials`
//! (service `redshift-serverless`): ordinary requests, which [`Signer::sign`](crate::Signer::sign) signs.
//! The same goes for **ECR** (`GetAuthorizationToken`) and **CodeArtifact** (`GetAuthorizationToken`).
//!
//! # Who checks them
//!
//! A server of your own verifies a token with [`verify`](crate::verify), as any presigned URL: decoded, with
//! its scheme in front, and without what was added behind the signature.
//!
//! ```
//! use std::time::SystemTime;
//! use countersign::{Credentials, Head, Headers, KeyCache, Scratch, tokens::Rds, verify::{Known, Verifier}};
//!
//! # let now = SystemTime::now();
//! # let rds = Rds::new("db.example.com", 5432, "app", "eu-central-1");
//! # let password = rds.sign(&Credentials::new("AKIDEXAMPLE", "secret"), now)?;
//! let verifier = Verifier::new().with_region("eu-central-1").with_services(["rds-db"]);
//! let keys = KeyCache::default();
//! let url = format!("https://{}", password.as_str());
//! let head = Head::parse(b"GET", url.as_bytes(), Headers::Pairs(&[]))?;
//! let claim = verifier.claim(head, now)?;
//! let secret = (claim.access_key_id() == "AKIDEXAMPLE").then_some("secret");
//! let key = secret.map(|secret| keys.key(claim.access_key_id(), secret, &claim.scope()));
//! let (verified, _) = claim.verify(key.as_ref().map(Known::new), None, &mut Scratch::new())?;
//! assert_eq!(verified.access_key_id(), "AKIDEXAMPLE");
//! // Whose host and user the URL names is for the server to compare with its own.
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The passwords of CodeCommit are no URLs: [`Verifier::claim_git`](crate::verify::Verifier::claim_git)
//! reads them.

mod bedrock;
mod cache;
mod codecommit;
mod dsql;
mod eks;
mod git;
mod iot;
mod mongodb;
mod msk;
mod rds;
mod request;
mod sts;
mod token;
mod transcribe;

pub use bedrock::Bedrock;
pub use cache::{ElastiCache, MemoryDb};
pub use codecommit::{CodeCommit, GitCredential};
pub use dsql::Dsql;
pub use eks::{Eks, ExecVersion, exec_credential};
pub use git::{GitClaim, GitUser};
pub use iot::Iot;
pub use mongodb::{MongoAnswer, MongoDb};
pub use msk::Msk;
pub use rds::Rds;
pub use sts::{CallerIdentity, IdentityRequest, VaultLogin};
pub use token::Token;
pub use transcribe::{Transcribe, Transcription};
