//! Schemes that a recipe cannot describe. To add one, implement [`Scheme`] in its own file, and
//! list it here.

mod adyen;
mod aws_sns;
mod braintree;
mod contentful;
mod ebay;
mod google_health;
mod mailchannels;
mod parts;
mod payfast;
mod plivo;
mod scheme;
mod truelayer;
mod twilio;

pub use scheme::{BoundScheme, Scheme};

/// All schemes in code, in alphabetical order.
pub const SCHEMES: [&dyn Scheme; 11] = [
    &adyen::Adyen,
    &aws_sns::AwsSns,
    &braintree::Braintree,
    &contentful::Contentful,
    &ebay::Ebay,
    &google_health::GoogleHealth,
    &mailchannels::Mailchannels,
    &payfast::Payfast,
    &plivo::PlivoV3,
    &truelayer::Truelayer,
    &twilio::Twilio,
];

/// Returns the scheme with the given name.
pub fn named(name: &str) -> Option<&'static dyn Scheme> {
    SCHEMES.into_iter().find(|scheme| scheme.name() == name)
}
