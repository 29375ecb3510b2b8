//! No request goes to where the configuration does not say: neither by a redirect nor by a proxy of the environment.

use crate::support::daemon::Settings;
use crate::support::provider::{Act, Receiver};
use crate::support::redis::Redis;
use crate::support::scene::{Scene, generate_job, people, send_job};

fn redirect(to: &str) -> Act {
    Act::Reply { status: 307, headers: vec![format!("Location: {to}/elsewhere")], body: String::new() }
}

/// A scene whose channel and payment point are these, with a proxy in the environment of the daemon.
async fn scene(provider: &Receiver, proxy: &Receiver) -> Scene {
    let redis = Redis::start().await;
    let mut scene = Scene::over(redis, "", |_| {}).await;
    let mut settings = Settings::new(&scene.redis).toml(&format!(
        "[channels.sms]\nkind = \"http\"\nurl = \"{0}/messages\"\nbody = '{{\"to\":\"{{{{ to }}}}\",\"text\":\"{{{{ text }}}}\"}}'\n\
         [payment_points.platform]\nprovider = \"http\"\nurl = \"{0}/payments/v1\"\nlink_base = \"https://pay.example/\"\n\
         credentials = {{ api_key = \"k\" }}\norganization_id = \"o\"\npayment_point_id = \"p\"\nretry_attempts = 1\n",
        provider.url()
    ));
    for name in ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"] {
        settings = settings.variable(name, &proxy.url());
    }
    scene.settings = settings;
    scene
}

#[tokio::test]
async fn a_provider_that_redirects_is_not_followed_and_no_proxy_is_asked() {
    let elsewhere = Receiver::start([Act::json(200, "{\"id\":\"m\"}")]);
    let provider = Receiver::start([redirect(&elsewhere.url())]);
    let proxy = Receiver::start([Act::json(200, "{\"id\":\"m\"}")]);
    let mut scene = scene(&provider, &proxy).await;
    let _daemon = scene.daemon().await;
    scene.run("generate", &send_job("c", people(3))).await;
    let run = scene.finished("c").await;
    assert_eq!(run["failed"], "3", "{run:?}");
    assert_eq!(provider.requests().len(), 3);
    assert!(elsewhere.requests().is_empty() && proxy.requests().is_empty());
}

#[tokio::test]
async fn a_payment_platform_that_redirects_is_not_followed() {
    let elsewhere = Receiver::start([Act::json(200, "{}")]);
    let platform = Receiver::start([redirect(&elsewhere.url())]);
    let proxy = Receiver::start([Act::json(200, "{}")]);
    let mut scene = scene(&platform, &proxy).await;
    let _daemon = scene.daemon().await;
    let mut job = generate_job("c", people(1));
    job["payment_point"] = "platform".into();
    scene.enqueue("generate", &job).await;
    platform.received(1).await;
    scene.ended("gen-c").await;
    assert!(elsewhere.requests().is_empty() && proxy.requests().is_empty());
}
