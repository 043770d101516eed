//! The built-in recipes, one compiled-in file each under `recipes/`, and the recipes of the user.

use std::sync::{LazyLock, OnceLock};

use parking_lot::RwLock;

use super::aliases::alias;
use super::file::RecipeError;
use super::recipe::Recipe;

/// Includes the recipe file of each name.
macro_rules! files {
    ($($name:literal)*) => {
        &[$(($name, include_str!(concat!("recipes/", $name, ".toml")))),*]
    };
}

/// Built-in recipes in alphabetical order; a test compares the list with the folder.
static FILES: &[(&str, &str)] = files! {
    "a2a" "ably" "adyen" "adyen-header" "airtable" "airwallex" "alertmanager" "anthropic" "apprise" "asana"
    "ashby" "attio" "auth0-log-stream" "authorize-net" "aws-sns" "azure-event-grid" "bigcommerce" "bitbucket"
    "box" "braintree" "brevo" "btcpay" "buildkite" "buildkite-token" "calcom" "calendly" "cashfree"
    "chargebee" "checkr" "circleback" "circleci" "clerk" "clickup" "close" "cloudevents"
    "cloudflare-notifications" "cloudflare-stream" "cloudinary" "coinbase-cdp" "coinbase-commerce"
    "contentful" "crisp" "cursor" "customerio" "deepgram" "discord" "discourse" "django-webhook" "docker-hub"
    "docker-registry" "docusign" "dodo-payments" "doppler" "dropbox" "dropbox-sign" "easypost" "ebay" "ecwid"
    "elevenlabs" "expo" "fal" "fastspring" "figma" "finch" "fintoc" "firecrawl" "fireflies" "fitbit"
    "flutterwave" "forgejo" "fourthwall" "fusionauth" "gemini" "gemini-dynamic" "ghost" "gitea" "gitguardian"
    "github" "gitlab" "gitlab-signing-token" "gocardless" "gogs" "gong" "google-channel" "google-health"
    "google-pubsub" "grafana" "greenhouse" "helpscout" "heroku" "hocuspocus" "hook0" "hubspot-v1" "hubspot-v2"
    "hubspot-v3" "hygraph" "inngest" "intercom" "intuit" "jira" "kick" "kit" "klaviyo" "knock" "kontent-ai"
    "label-studio" "langgraph" "langsmith" "lark" "launchdarkly" "lemonsqueezy" "line" "linear" "lithic"
    "liveblocks" "livekit" "lovable" "mailchannels" "mailgun" "mandrill" "mercadopago" "messagebird" "meta"
    "microsoft-graph" "mlflow" "modern-treasury" "mollie" "mollie-classic" "monday" "ms-teams-outgoing" "mux"
    "netlify" "none" "notion" "nowpayments" "nylas" "okta" "onfido" "openai" "orb" "ordergroove" "paddle"
    "pagerduty" "patreon" "payfast" "paypal" "paypal-postback" "paystack" "persona" "plaid" "plivo-v2"
    "plivo-v3" "polar" "postmark" "prefect" "pusher" "razorpay" "recharge" "recurly" "replicate" "resend"
    "retell" "revenuecat" "ripple-collections" "rootly" "samsara" "sanity" "seam" "segment" "sendgrid"
    "sentry" "shopify" "sinch-conversation" "sinch-numbers" "slack" "smartcar" "smartsheet" "snipcart"
    "sparkpost" "square" "standard-webhooks" "standard-webhooks-v1a" "strava" "stripe" "sumsub"
    "supabase-auth" "svix" "tailscale" "tally" "telegram" "telnyx" "terraform-cloud" "tiktok" "token"
    "travis-ci" "trello" "truelayer" "twilio" "twitch" "typeform" "unit" "upstash-qstash" "vercel" "verdaccio"
    "vonage" "webflow" "websub" "wechat-pay" "whatsapp" "whop" "wise" "woocommerce" "workos" "x" "xero"
    "zendesk" "zoom"
};

/// The settings of all built-in recipes, and whether each can have several values for rotation.
/// Names of variables can thus be parsed without parsing the recipes; a test compares this list
/// with them.
pub static BUILTIN_SETTINGS: &[(&str, bool)] = &[
    ("access_token", false),
    ("allow_body_only", false),
    ("allow_no_timestamp", false),
    ("allow_sha1", false),
    ("allowed_jku", false),
    ("allowed_origins", false),
    ("allowed_rate", false),
    ("api_key", false),
    ("api_secret", false),
    ("api_url", false),
    ("app_credentials", false),
    ("app_key", false),
    ("audience", false),
    ("base_url", false),
    ("client_id", false),
    ("client_secret", false),
    ("endpoint", false),
    ("header", false),
    ("host", false),
    ("key_id", false),
    ("key_id_header", false),
    ("password", false),
    ("primary_secret", false),
    ("public_key", false),
    ("secondary_secret", false),
    ("secret", true),
    ("service_account", false),
    ("shared_key", true),
    ("signing_secret", false),
    ("topic_arn", false),
    ("topics", false),
    ("username", false),
    ("validate_url", false),
    ("verification_token", false),
    ("verify_code", false),
    ("verify_token", false),
    ("webhook_id", false),
];

/// Built-in recipes, parsed on first use: a service uses few of them.
static RECIPES: LazyLock<Vec<OnceLock<Recipe>>> =
    LazyLock::new(|| FILES.iter().map(|_| OnceLock::new()).collect());

/// The provider name for senders configured by variables.
pub const CUSTOM: &str = "custom";

/// The user's recipes by name, kept for the lifetime of the process like the built-in ones.
static ADDED: RwLock<Vec<&'static Recipe>> = RwLock::new(Vec::new());

/// The built-in recipes in alphabetical order.
///
/// # Panics
/// If a built-in recipe is invalid; the tests parse all of them.
pub fn recipes() -> impl ExactSizeIterator<Item = &'static Recipe> + Clone {
    (0..FILES.len()).map(at)
}

/// The names of the built-in recipes in alphabetical order.
pub fn builtin_names() -> impl Iterator<Item = &'static str> {
    FILES.iter().map(|(name, _)| *name)
}

fn at(place: usize) -> &'static Recipe {
    let (name, text) = FILES[place];
    RECIPES[place].get_or_init(|| {
        Recipe::parse(name, text).unwrap_or_else(|error| panic!("a built-in recipe is invalid: {error}"))
    })
}

/// The recipe of this name: the user's own, a built-in one, or the one that an alias resolves to.
pub fn recipe(name: &str) -> Option<&'static Recipe> {
    exactly(name).or_else(|| exactly(&alias(name)?.provider))
}

fn exactly(name: &str) -> Option<&'static Recipe> {
    let added = ADDED.read();
    let own = added.iter().find(|recipe| recipe.name() == name).copied();
    drop(added);
    own.or_else(|| place_of(name).map(at))
}

/// Whether a built-in recipe has this name.
pub fn is_builtin(name: &str) -> bool {
    place_of(name).is_some()
}

fn place_of(name: &str) -> Option<usize> {
    FILES.binary_search_by(|(file, _)| (*file).cmp(name)).ok()
}

/// The user's own recipes.
pub fn added_recipes() -> Vec<&'static Recipe> {
    ADDED.read().clone()
}

/// Adds a user's recipe for the rest of the process, or replaces the one with the same name.
pub(super) fn add(recipe: Recipe) -> &'static Recipe {
    let recipe: &'static Recipe = Box::leak(Box::new(recipe));
    let mut added = ADDED.write();
    added.retain(|present| present.name() != recipe.name());
    added.push(recipe);
    recipe
}

/// Adds the recipes of a file: one with its fields at the top level and the given name, or several,
/// each in a table with its name.
///
/// # Errors
/// The first error, with recipe and field. In this case no recipe is added.
pub fn add_file(text: &str, name: &str) -> Result<Vec<&'static Recipe>, RecipeError> {
    let recipes = Recipe::parse_file(text, name)?;
    if recipes.iter().any(|own| own.name() == CUSTOM) {
        return Err(RecipeError {
            recipe: CUSTOM.to_owned(),
            field: "name".to_owned(),
            problem: "is reserved for senders that are described by variables; choose another name"
                .to_owned(),
        });
    }
    Ok(recipes.into_iter().map(add).collect())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn catalogue_lists_all_recipe_files_alphabetically() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/providers/recipes");
        let mut files: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .filter_map(|entry| {
                entry.unwrap().file_name().to_str().unwrap().strip_suffix(".toml").map(str::to_owned)
            })
            .collect();
        files.sort();
        let listed: Vec<&str> = FILES.iter().map(|(name, _)| *name).collect();
        assert_eq!(listed, files);
    }

    #[test]
    fn settings_match_recipes() {
        let keys = recipes().flat_map(Recipe::keys);
        let settings: BTreeSet<_> = keys.map(|key| (key.name.as_str(), key.rotates)).collect();
        assert_eq!(BUILTIN_SETTINGS, settings.into_iter().collect::<Vec<_>>());
    }
}
