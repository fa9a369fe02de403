//! Where credentials come from.

mod cached;
mod cached_model;
mod endpoints;
mod local;
mod profiles;
mod skew;
mod sts;
mod system;
mod world;
