//! The API's own description: complete enough that a program can be made from it.

use harness::server::{Engine, TestServer};

/// What follows is a WebSocket (RFC 9110, 15.2.2).
const SWITCHED: &str = "101";

pub(super) async fn every_operation_says_what_it_takes_and_gives(engine: Engine) {
    let server = TestServer::start(engine).await.unwrap();
    let spec = server.get("/api/openapi.json").await.unwrap().ok().unwrap();
    let mut wrong = Vec::new();
    for (path, item) in spec["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let mut must = |fine: bool, what: &str| {
                if !fine {
                    wrong.push(format!("{method} {path}: {what}"));
                }
            };
            let secured = operation["security"].as_array().is_some_and(|ways| !ways.is_empty());
            must(secured || path == "/api/v1/login", "who may ask?");
            let responses = operation["responses"].as_object().unwrap();
            let error = &responses["default"]["content"]["application/problem+json"]["schema"]["$ref"];
            must(error == "#/components/schemas/Problem", "how do errors look?");
            let good: Vec<_> = responses
                .iter()
                .filter(|(status, _)| status.starts_with('2') || *status == SWITCHED)
                .collect();
            must(!good.is_empty(), "what comes when it goes well?");
            for (status, response) in good {
                let contents = response["content"].as_object();
                must(
                    contents.is_some_and(|contents| !contents.is_empty())
                        != (status == "204" || status == SWITCHED),
                    "is there a body?",
                );
                for (kind, content) in contents.into_iter().flatten() {
                    must(
                        kind != "application/json" || content["schema"].is_object(),
                        "how does the answer look?",
                    );
                }
            }
            for parameter in operation["parameters"].as_array().into_iter().flatten() {
                let (name, place) = (&parameter["name"], &parameter["in"]);
                let required = parameter["required"] == true;
                // What is compared, and what a package is, has to be said; everything else can be left out.
                let is_package = ["package", "version", "description"].iter().any(|word| name == word);
                let needed = path.ends_with("/difference") || (path.ends_with("/builds") && is_package);
                must(required == (place == "path" || needed), &format!("is {name} in {place} required?"));
                let told = parameter["description"].as_str().is_some_and(|text| !text.is_empty());
                must(told || place == "path", &format!("what is {name}?"));
            }
            for (kind, content) in operation["requestBody"]["content"].as_object().into_iter().flatten() {
                must(content["schema"].is_object(), &format!("how does {kind} look?"));
            }
            // What is only put here or taken away overwrites nothing.
            let given = path.starts_with("/api/v1/source-lists/{name}/")
                || path == "/api/v1/selections/{name}/groups/{group}";
            // It carries the revision that it follows.
            let given = given || path == "/api/v1/selections/{name}";
            let overwrites = !path.contains("/members/") && !given;
            let changes = ["put", "patch"].contains(&method.as_str()) && overwrites;
            let guarded =
                operation["parameters"].as_array().into_iter().flatten().any(|it| it["name"] == "If-Match");
            must(guarded || !changes, "what of a change that somebody else has made meanwhile (If-Match)?");
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    server.stop().await.unwrap();
}
