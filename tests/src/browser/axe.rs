//! Accessibility of a page by axe-core (`tests/vendor/axe-core`, MPL-2.0): the rules of WCAG 2.0, 2.1 and 2.2, levels A and AA.

use anyhow::Result;
use serde_json::{Value, json};

use super::Page;

/// The checker itself, which runs inside the page.
const AXE: &str = include_str!("../../vendor/axe-core/axe.min.js");
const RULES: [&str; 5] = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"];

impl Page {
    /// Everything by which the page breaks a rule: rule, what is wrong, where.
    ///
    /// # Errors
    /// The checker cannot run.
    pub async fn barriers(&self) -> Result<Vec<String>> {
        if self.eval("typeof axe").await? != "object" {
            self.eval(&format!("{AXE}\n;true")).await?;
        }
        let options = json!({ "runOnly": { "type": "tag", "values": RULES }, "resultTypes": ["violations"] });
        let found =
            self.eval(&format!("axe.run(document, {options}).then(found => found.violations)")).await?;
        Ok(found.as_array().into_iter().flatten().flat_map(told).collect())
    }
}

fn told(violation: &Value) -> Vec<String> {
    let rule = violation["id"].as_str().unwrap_or_default();
    let nodes = violation["nodes"].as_array().into_iter().flatten();
    nodes
        .map(|node| {
            let why = node["failureSummary"].as_str().unwrap_or_default().replace('\n', " ");
            format!("{rule}: {} {why}", node["html"].as_str().unwrap_or_default())
        })
        .collect()
}
