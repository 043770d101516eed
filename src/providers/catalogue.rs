//! The built-in recipes: one file each under `recipes/`, compiled in; and those that the user has added.

use std::sync::{LazyLock, PoisonError, RwLock};

use super::aliases::alias;
use super::file::RecipeError;
use super::recipe::Recipe;

/// Names each recipe once; its file is called after it.
macro_rules! files {
    ($($name:literal)*) => {
        &[$(($name, include_str!(concat!("recipes/", $name, ".toml")))),*]
    };
}

/// In alphabetical order; a test compares it with the folder.
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

static RECIPES: LazyLock<Vec<Recipe>> = LazyLock::new(|| {
    let parsed = FILES.iter().map(|(name, text)| Recipe::parse(name, text));
    let (good, wrong): (Vec<_>, Vec<_>) = parsed.partition(Result::is_ok);
    let wrong: Vec<String> =
        wrong.into_iter().filter_map(Result::err).map(|error| error.to_string()).collect();
    assert!(wrong.is_empty(), "built-in recipes are wrong:\n{}", wrong.join("\n"));
    good.into_iter().filter_map(Result::ok).collect()
});

/// The provider of a sender that is described by variables.
pub const CUSTOM: &str = "custom";

/// The user's own, by name. They live as long as the process, like the built-in ones.
static ADDED: RwLock<Vec<&'static Recipe>> = RwLock::new(Vec::new());

/// The built-in recipes in alphabetical order.
///
/// # Panics
/// At the first call, if a recipe that was compiled in is wrong; the tests read them all.
pub fn recipes() -> &'static [Recipe] {
    &RECIPES
}

/// The recipe of this name: the user's own, a built-in one, or the one that an alias resolves to.
pub fn recipe(name: &str) -> Option<&'static Recipe> {
    exactly(name).or_else(|| exactly(&alias(name)?.provider))
}

fn exactly(name: &str) -> Option<&'static Recipe> {
    let added = ADDED.read().unwrap_or_else(PoisonError::into_inner);
    let own = added.iter().find(|recipe| recipe.name() == name).copied();
    drop(added);
    own.or_else(|| builtin(name))
}

/// Whether a built-in recipe has this name.
pub fn is_builtin(name: &str) -> bool {
    builtin(name).is_some()
}

fn builtin(name: &str) -> Option<&'static Recipe> {
    let place = RECIPES.binary_search_by(|recipe| recipe.name().cmp(name)).ok()?;
    Some(&RECIPES[place])
}

/// The user's own recipes.
pub fn added_recipes() -> Vec<&'static Recipe> {
    ADDED.read().unwrap_or_else(PoisonError::into_inner).clone()
}

/// Adds a recipe of the user's for the rest of the process; one of the same name is replaced.
pub(super) fn add(recipe: Recipe) -> &'static Recipe {
    let recipe: &'static Recipe = Box::leak(Box::new(recipe));
    let mut added = ADDED.write().unwrap_or_else(PoisonError::into_inner);
    added.retain(|present| present.name() != recipe.name());
    added.push(recipe);
    recipe
}

/// Adds the recipes of a file: one whose fields stand at the top and whose name is given, or several, each in a table of its name.
///
/// # Errors
/// The first thing that is wrong, with recipe and field. Nothing has been added then.
pub fn add_file(text: &str, name: &str) -> Result<Vec<&'static Recipe>, RecipeError> {
    let recipes = Recipe::parse_file(text, name)?;
    if recipes.iter().any(|own| own.name() == CUSTOM) {
        return Err(RecipeError {
            recipe: CUSTOM.to_owned(),
            field: "name".to_owned(),
            problem: "is reserved for senders that variables describe; choose another one".to_owned(),
        });
    }
    Ok(recipes.into_iter().map(add).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_the_folder_is_in_the_catalogue_in_alphabetical_order() {
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
}
