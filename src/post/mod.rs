//! Forms with which a browser uploads to S3: POST policies, signed and verified.
//!
//! A page that lets its visitors upload holds no credentials. It holds a form whose hidden fields carry a
//! *policy*, which says what may be uploaded and until when, and a signature over that policy.
//!
//! # Sign
//!
//! A [`Policy`] has a bucket, a key and a life, and conditions on all other fields.
//! [`Signer::post`](crate::Signer::post) makes a [`PostForm`] of it: a URL, and the fields to send there
//! as `multipart/form-data` before the file.
//!
//! ```
//! use std::time::{Duration, SystemTime};
//! use countersign::{Credentials, Signer, post::Policy};
//!
//! let policy = Policy::expires_in(Duration::from_secs(3600), "bucket", "user/eric/${filename}")
//!     .with_field("acl", "public-read")
//!     .with_starts_with("Content-Type", "image/")
//!     .with_content_length_range(1..=10 * 1024 * 1024);
//! let url = "https://bucket.s3.eu-central-1.amazonaws.com/";
//! let credentials = Credentials::new("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY");
//! let signer = Signer::new("eu-central-1", "s3");
//! let form = signer.post(url, &policy, &credentials, SystemTime::now())?;
//! assert!(form.field("x-amz-signature").is_some());
//! # Ok::<(), countersign::Error>(())
//! ```
//!
//! # Verify
//!
//! As for requests, a server goes from a claim over the key to the proof. Taking the form apart is the
//! work of its multipart parser; it hands over the fields up to the file, and then the length of each
//! piece of the file.
//!
//! ```
//! # use std::time::{Duration, SystemTime};
//! # use countersign::{Credentials, Signer, post::Policy};
//! use countersign::{KeyCache, post::Received, verify::{Known, Verifier}};
//!
//! # let now = SystemTime::now();
//! # let policy = Policy::expires_in(Duration::from_secs(60), "bucket", "user/eric/${filename}");
//! # let credentials = Credentials::new("AKIDEXAMPLE", "secret");
//! # let signer = Signer::new("eu-central-1", "s3");
//! # let form = signer.post("https://bucket.s3.amazonaws.com/", &policy, &credentials, now)?;
//! # let fields: Vec<(&[u8], &[u8])> =
//! #     form.fields().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect();
//! let verifier = Verifier::new().with_region("eu-central-1").with_services(["s3"]);
//! let keys = KeyCache::default();
//! let received = Received::new("bucket", &fields).with_file_name(b"cat.jpg");
//! let claim = verifier.claim_post(received, now)?;
//! let secret = (claim.access_key_id() == "AKIDEXAMPLE").then_some("secret");
//! let key = secret.map(|secret| keys.key(claim.access_key_id(), secret, &claim.scope()));
//! let (upload, mut length) = claim.verify(key.as_ref().map(Known::new))?;
//! assert_eq!(upload.key(), "user/eric/cat.jpg");
//! length.push(b"meow".len() as u64)?;
//! length.finish()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What is decided here
//!
//! - **Conditions.** Each must hold, and each field must have one, but for `file`, `policy`,
//!   `x-amz-signature` and what begins with `x-ignore-`. `bucket` is a field, too, whose value is the
//!   bucket that the form was sent to. Names of fields match in any case. A field may come once only.
//! - **`${filename}`** stands for the last part of the file's name, in any field but those of the
//!   signature, and conditions are held against the value with that name in it. Without a file name it
//!   stands for nothing; a key that is empty then is refused.
//! - **Times.** A policy holds until its `expiration` and no longer, and for a week from its `x-amz-date`
//!   at most ([`Verifier::with_longest_expiry`](crate::verify::Verifier::with_longest_expiry)): S3 takes
//!   no older signature. Signing refuses a longer life.
//! - **JSON** is read strictly: base64 of the standard alphabet with its padding, no name twice, nothing
//!   beside `expiration` and `conditions`, one property in each condition that is an object. The bounds
//!   of a content-length-range may be numbers or strings of digits.
//! - **Length.** The fields before the file have 20 KiB together at most, as with S3.

mod claim;
mod condition;
mod document;
mod fields;
mod form;
mod policy;
mod upload;

pub use claim::PostClaim;
pub use condition::Condition;
pub use fields::Received;
pub use form::PostForm;
pub use policy::Policy;
pub use upload::{LengthCheck, Upload};

/// What stands for the name of the uploaded file.
const FILENAME: &str = "${filename}";

/// How long the fields of a form are together at most, names and values, in bytes.
const LONGEST_FORM: usize = 20 * 1024;
