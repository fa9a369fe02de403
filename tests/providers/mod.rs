//! Where credentials come from.

mod cached;
mod cached_model;
mod endpoints;
mod express;
mod local;
#[cfg(feature = "login")]
mod login;
mod profiles;
#[cfg(feature = "roles-anywhere")]
mod roles_anywhere;
mod skew;
mod sso;
mod sts;
mod system;
mod world;
