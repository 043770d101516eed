//! The built-in recipes: one file each under `recipes/`, compiled in; and those that the user has added.

use std::sync::{LazyLock, PoisonError, RwLock};

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
    "ably" "adyen" "adyen-header" "airtable" "airwallex" "asana" "ashby" "attio" "auth0-log-stream"
    "authorize-net" "aws-sns" "azure-event-grid" "bigcommerce" "bitbucket" "box" "braintree" "brevo"
    "btcpay" "buildkite" "buildkite-token" "calcom" "calendly" "chargebee" "checkr" "circleback" "circleci"
    "clerk" "clickup" "close" "cloudevents" "cloudflare-notifications" "cloudflare-stream" "cloudinary"
    "coinbase-cdp" "coinbase-commerce" "contentful" "crisp" "cursor" "customerio" "deepgram" "discord"
    "discourse" "docker-hub" "docusign" "doppler" "dropbox" "dropbox-sign" "easypost" "ebay" "ecwid"
    "elevenlabs" "expo" "fal" "fastspring" "figma" "finch" "fintoc" "fireflies" "fitbit" "flutterwave"
    "forgejo" "fourthwall" "fusionauth" "ghost" "gitea" "gitguardian" "github" "gitlab"
    "gitlab-signing-token" "gocardless" "gogs" "gong" "google-channel" "google-health" "google-pubsub" "grafana"
    "greenhouse" "helpscout" "heroku" "hubspot-v1" "hubspot-v2" "hubspot-v3" "hygraph" "inngest" "intercom"
    "intuit" "jira" "kick" "klaviyo" "knock" "kontent-ai" "lark" "launchdarkly" "lemonsqueezy" "line"
    "linear" "livekit" "mailchannels" "mailgun" "mandrill" "mercadopago" "messagebird" "meta"
    "microsoft-graph" "modern-treasury" "mollie" "mollie-classic" "monday" "ms-teams-outgoing" "mux"
    "netlify" "none" "notion" "nowpayments" "nylas" "okta" "onfido" "openai" "orb" "paddle" "pagerduty"
    "patreon" "payfast" "paypal" "paypal-postback" "paystack" "persona" "plaid" "plivo-v2" "plivo-v3" "polar" "postmark"
    "pusher" "razorpay" "recharge" "recurly" "replicate" "resend" "retell" "revenuecat" "ripple-collections"
    "rootly" "samsara" "sanity" "segment" "sendgrid" "sentry" "shopify" "sinch-conversation" "sinch-numbers"
    "slack" "smartcar" "smartsheet" "snipcart" "sparkpost" "square" "standard-webhooks"
    "standard-webhooks-v1a" "strava" "stripe" "sumsub" "supabase-auth" "svix" "tailscale" "tally" "telegram"
    "telnyx" "terraform-cloud" "tiktok" "token" "travis-ci" "trello" "truelayer" "twilio" "twitch"
    "typeform" "unit" "upstash-qstash" "vercel" "vonage" "webflow" "websub" "wechat-pay" "whatsapp" "wise"
    "woocommerce" "workos" "x" "xero" "zendesk" "zoom"
};

static RECIPES: LazyLock<Vec<Recipe>> = LazyLock::new(|| {
    let parsed = FILES.iter().map(|(name, text)| Recipe::parse(name, text));
    let (good, wrong): (Vec<_>, Vec<_>) = parsed.partition(Result::is_ok);
    let wrong: Vec<String> =
        wrong.into_iter().filter_map(Result::err).map(|error| error.to_string()).collect();
    assert!(wrong.is_empty(), "built-in recipes are wrong:\n{}", wrong.join("\n"));
    good.into_iter().filter_map(Result::ok).collect()
});

/// The user's own, by name. They live as long as the process, like the built-in ones.
static ADDED: RwLock<Vec<&'static Recipe>> = RwLock::new(Vec::new());

/// The built-in recipes in alphabetical order.
///
/// # Panics
/// At the first call, if a recipe that was compiled in is wrong; the tests read them all.
pub fn recipes() -> &'static [Recipe] {
    &RECIPES
}

pub fn recipe(name: &str) -> Option<&'static Recipe> {
    let added = ADDED.read().unwrap_or_else(PoisonError::into_inner);
    let own = added.iter().find(|recipe| recipe.name() == name).copied();
    drop(added);
    own.or_else(|| {
        let place = RECIPES.binary_search_by(|recipe| recipe.name().cmp(name)).ok()?;
        Some(&RECIPES[place])
    })
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
    if let Some(taken) = recipes.iter().find(|own| RECIPES.iter().any(|recipe| recipe.name() == own.name())) {
        return Err(RecipeError {
            recipe: taken.name().to_owned(),
            field: "name".to_owned(),
            problem: "is that of a built-in recipe; choose another one".to_owned(),
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
