//! The languages: how each snippet is started.

use super::snippet::{Snippet, installed};

#[tokio::test]
async fn the_snippet_for_redis_cli_works() {
    Snippet::copy("bash", &["bash", "campaign.sh"]).works().await;
}

#[tokio::test]
async fn the_snippet_in_python_works() {
    let python = installed("python").join("bin/python");
    Snippet::copy("python", &[python.to_str().unwrap(), "campaign.py"]).works().await;
}

#[tokio::test]
async fn the_snippet_for_node_works() {
    let snippet = Snippet::copy("node", &["node", "campaign.mjs"]);
    let modules = snippet.folder().join("node_modules");
    std::os::unix::fs::symlink(installed("node").join("node_modules"), modules).unwrap();
    snippet.works().await;
}

#[tokio::test]
async fn the_snippet_in_php_works() {
    Snippet::copy("php", &["php", "campaign.php"]).works().await;
}

#[tokio::test]
async fn the_snippet_in_ruby_works() {
    Snippet::copy("ruby", &["ruby", "campaign.rb"]).works().await;
}

#[tokio::test]
async fn the_snippet_in_go_works() {
    // As Debian packages Go's libraries: sources in a GOPATH, no modules and no network.
    let snippet = Snippet::copy("go", &["./campaign"]).without_unix_sockets();
    let cache = snippet.folder().join("cache");
    let variables = [("GO111MODULE", "off"), ("GOPATH", "/usr/share/gocode"), ("GOCACHE", cache.to_str().unwrap())];
    let build = ["go", "build", "-o", "campaign", "campaign.go", "results.go"];
    snippet.prepare(&build, &variables).await.works().await;
}

#[tokio::test]
async fn the_snippet_in_java_without_a_client_works() {
    let snippet = Snippet::copy("java-socket", &["java", "-cp", "classes", "Campaign", "{id}"]);
    let build = ["javac", "-Xlint:all", "-Werror", "-d", "classes", "Campaign.java", "Results.java", "Redis.java"];
    snippet.prepare(&build, &[]).await.works().await;
}

#[tokio::test]
async fn the_snippet_in_csharp_without_a_client_works() {
    let snippet = Snippet::copy("csharp-socket", &["mono", "campaign.exe", "{id}"]).without_unix_sockets();
    let build = ["mcs", "-warnaserror", "-out:campaign.exe", "Campaign.cs", "Results.cs", "Redis.cs"];
    snippet.prepare(&build, &[]).await.works().await;
}
