//! Where credentials come from.

mod cached;
mod cached_model;
mod container;
mod endpoints;
mod express;
mod faults;
mod instance;
mod local;
#[cfg(feature = "login")]
mod login;
mod process;
mod profiles;
#[cfg(feature = "roles-anywhere")]
mod roles_anywhere;
mod scenarios;
mod silence;
mod skew;
#[cfg(feature = "reqwest")]
mod sockets;
mod sso;
mod sts;
mod system;
mod trace;
mod world;
