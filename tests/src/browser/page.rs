//! One page of a browser: going, looking, clicking, typing, waiting for what is to come.
//!
//! Clicks and keys go the way of a real mouse and keyboard, so what lies under something else cannot be clicked.

use std::{path::Path, sync::Arc, time::Duration};

use anyhow::{Context as _, Result, bail, ensure};
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::devtools::DevTools;

/// Nothing takes longer, however slow the computer.
const PATIENCE: Duration = Duration::from_secs(60);
/// Conditions are looked at this often.
const GLANCE: Duration = Duration::from_millis(25);
/// What Chromium says when a network of this machine came or went, such as that of a virtual machine: it gives up whatever it loads.
const NETWORK_CHANGED: &str = "ERR_NETWORK_CHANGED";
/// So often a page is loaded again because of that.
const NETWORK_CHANGES: usize = 5;

/// How somebody looks at pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// Language that the browser asks for.
    pub language: &'static str,
    /// Dark colours are liked.
    pub dark: bool,
    /// CSS pixels.
    pub width: u32,
}

impl Look {
    /// A desk: wide, light, English.
    pub const DESK: Self = Self { language: "en", dark: false, width: 1280 };
    /// At night.
    pub const DARK: Self = Self { dark: true, ..Self::DESK };
    /// A telephone.
    pub const PHONE: Self = Self { width: 390, ..Self::DESK };
    /// In German.
    pub const GERMAN: Self = Self { language: "de", ..Self::DESK };

    fn height(self) -> u32 {
        if self.is_phone() { 844 } else { 900 }
    }

    fn is_phone(self) -> bool {
        self.width < 600
    }
}

/// A page that is open. Ask it to [`Page::close`] at the end: what it complained about is told there.
pub struct Page {
    devtools: Arc<DevTools>,
    session: String,
    agent: String,
    forgiven: Vec<&'static str>,
    complaints: Vec<String>,
}

impl Page {
    pub(super) async fn open(devtools: Arc<DevTools>, agent: &str, look: Look) -> Result<Self> {
        let context = devtools.call(None, "Target.createBrowserContext", json!({})).await?;
        let target = json!({ "url": "about:blank", "browserContextId": context["browserContextId"] });
        let target = devtools.call(None, "Target.createTarget", target).await?;
        let attach = json!({ "targetId": target["targetId"], "flatten": true });
        let attached = devtools.call(None, "Target.attachToTarget", attach).await?;
        let session = attached["sessionId"].as_str().context("Chromium names no session")?.to_owned();
        let agent = agent.replace("HeadlessChrome", "Chrome");
        let page = Self { devtools, session, agent, forgiven: Vec::new(), complaints: Vec::new() };
        for domain in ["Page", "Runtime", "Log", "Network"] {
            page.call(&format!("{domain}.enable"), json!({})).await?;
        }
        page.look(look).await?;
        Ok(page)
    }

    async fn call(&self, method: &str, params: Value) -> Result<Value> {
        self.devtools.call(Some(&self.session), method, params).await
    }

    /// Looks at the page in another way.
    ///
    /// # Errors
    /// The browser refuses.
    pub async fn look(&self, look: Look) -> Result<()> {
        let size = json!({ "width": look.width, "height": look.height(), "deviceScaleFactor": 1, "mobile": look.is_phone() });
        self.call("Emulation.setDeviceMetricsOverride", size).await?;
        let colours = if look.dark { "dark" } else { "light" };
        // Still pictures: what moves would differ from run to run.
        let features = json!([
            { "name": "prefers-color-scheme", "value": colours },
            { "name": "prefers-reduced-motion", "value": "reduce" },
        ]);
        self.call("Emulation.setEmulatedMedia", json!({ "features": features })).await?;
        let agent = json!({ "userAgent": self.agent, "acceptLanguage": look.language });
        self.call("Emulation.setUserAgentOverride", agent).await?;
        Ok(())
    }

    /// Complaints that hold these words are no fault: the test brings them about itself.
    pub fn forgive(&mut self, words: &'static str) {
        self.forgiven.push(words);
    }

    /// Goes to an address and waits until the page is there.
    ///
    /// # Errors
    /// Nobody answers there.
    pub async fn goto(&self, url: &str) -> Result<()> {
        for _ in 0..NETWORK_CHANGES {
            let went = self.navigate(url).await;
            let refused = went.as_ref().is_err_and(|error| error.to_string().contains(NETWORK_CHANGED));
            if !self.devtools.forget_complaints(&self.session, NETWORK_CHANGED) && !refused {
                return went;
            }
        }
        bail!("going to {url}: the networks of this machine change all the time")
    }

    async fn navigate(&self, url: &str) -> Result<()> {
        self.mark().await?;
        let answer = self.call("Page.navigate", json!({ "url": url })).await?;
        if let Some(error) = answer["errorText"].as_str() {
            bail!("going to {url}: {error}");
        }
        // Going to another place of the same page loads nothing.
        if answer.get("loaderId").is_some() { self.arrived().await } else { Ok(()) }
    }

    /// Marks the present document, so that [`Page::arrived`] knows the next one.
    async fn mark(&self) -> Result<()> {
        self.eval("window.lotseBefore = true").await.map(drop)
    }

    async fn arrived(&self) -> Result<()> {
        self.until("document.readyState === 'complete' && !window.lotseBefore", "the next page is there")
            .await
    }

    /// What an expression of the page's own language is worth; promises are waited for.
    ///
    /// # Errors
    /// It throws.
    pub async fn eval(&self, expression: &str) -> Result<Value> {
        let params = json!({ "expression": expression, "awaitPromise": true, "returnByValue": true });
        let answer = self.call("Runtime.evaluate", params).await?;
        if let Some(details) = answer.get("exceptionDetails") {
            let said = details["exception"]["description"].as_str().or(details["text"].as_str());
            bail!("{expression}: {}", said.unwrap_or("threw something"));
        }
        Ok(answer["result"]["value"].clone())
    }

    /// Waits until an expression is true. Failures are no answer: between two pages there is nobody to ask.
    ///
    /// # Errors
    /// It never is; the error shows what the page says instead.
    pub async fn until(&self, expression: &str, what: &str) -> Result<()> {
        self.until_within(PATIENCE, expression, what).await
    }

    /// The same for what takes longer, such as the start of a machine.
    ///
    /// # Errors
    /// As [`Page::until`].
    pub async fn until_within(&self, patience: Duration, expression: &str, what: &str) -> Result<()> {
        let deadline = Instant::now() + patience;
        let mut failed = String::new();
        loop {
            match self.eval(&format!("Boolean({expression})")).await {
                Ok(Value::Bool(true)) => return Ok(()),
                Ok(_) => failed.clear(),
                Err(error) => failed = format!(" ({error:#})"),
            }
            if Instant::now() > deadline {
                let shown = self.text().await.unwrap_or_default();
                bail!("waited for {patience:?}: {what}{failed}; {} shows: {shown}", self.path().await?);
            }
            tokio::time::sleep(GLANCE).await;
        }
    }

    /// Waits until the page shows a text.
    ///
    /// # Errors
    /// It does not.
    pub async fn until_shown(&self, text: &str) -> Result<()> {
        self.until(
            &format!("document.body.innerText.includes({})", json!(text)),
            &format!("the page shows `{text}`"),
        )
        .await
    }

    /// Everything that the page shows.
    ///
    /// # Errors
    /// There is no page.
    pub async fn text(&self) -> Result<String> {
        Ok(self.eval("document.body.innerText").await?.as_str().unwrap_or_default().to_owned())
    }

    /// Where the page is, without the host.
    ///
    /// # Errors
    /// There is no page.
    pub async fn path(&self) -> Result<String> {
        Ok(self.eval("location.pathname + location.search").await?.as_str().unwrap_or_default().to_owned())
    }

    /// Clicks what a CSS selector finds first.
    ///
    /// # Errors
    /// There is nothing, or something else lies over it.
    pub async fn click(&self, selector: &str) -> Result<()> {
        self.click_on(&format!("document.querySelector({})", json!(selector)), selector).await
    }

    /// Clicks the link, button or label that says exactly this.
    ///
    /// # Errors
    /// There is none, or something else lies over it.
    pub async fn click_text(&self, text: &str) -> Result<()> {
        let find = format!(
            "[...document.querySelectorAll('a, button, summary, label')].find(e => e.innerText.trim() === {} && e.checkVisibility())",
            json!(text)
        );
        self.click_on(&find, text).await
    }

    /// Clicks and waits for the page to which that leads.
    ///
    /// # Errors
    /// It leads nowhere.
    pub async fn follow(&self, text: &str) -> Result<()> {
        self.mark().await?;
        self.click_text(text).await?;
        self.arrived().await
    }

    /// Clicks what a CSS selector finds first, and waits for the page to which that leads.
    ///
    /// # Errors
    /// It leads nowhere.
    pub async fn submit(&self, selector: &str) -> Result<()> {
        self.mark().await?;
        self.click(selector).await?;
        self.arrived().await
    }

    async fn click_on(&self, find: &str, shown: &str) -> Result<()> {
        self.until(find, &format!("`{shown}` is there to be clicked")).await?;
        let place = self
            .eval(&format!(
                "(() => {{ const e = {find}; e.scrollIntoView({{ block: 'center', behavior: 'instant' }}); \
                 const r = e.getClientRects()[0]; const x = r.x + r.width / 2, y = r.y + r.height / 2; \
                 const top = document.elementFromPoint(x, y); \
                 return {{ x, y, free: e === top || e.contains(top) || top?.contains(e) && e.tagName === 'A', over: top?.outerHTML?.slice(0, 120) }}; }})()"
            ))
            .await?;
        ensure!(place["free"] == true, "`{shown}` cannot be clicked: {} lies over it", place["over"]);
        for kind in ["mouseMoved", "mousePressed", "mouseReleased"] {
            let event =
                json!({ "type": kind, "x": place["x"], "y": place["y"], "button": "left", "clickCount": 1 });
            self.call("Input.dispatchMouseEvent", event).await?;
        }
        Ok(())
    }

    /// Takes what a CSS selector finds first with the mouse, and lets it go so many CSS pixels to the right.
    ///
    /// # Errors
    /// There is nothing.
    pub async fn drag(&self, selector: &str, right: f64) -> Result<()> {
        let find = format!("document.querySelector({})", json!(selector));
        self.until(&find, &format!("`{selector}` is there to be dragged")).await?;
        let place = self
            .eval(&format!(
                "(() => {{ const e = {find}; e.scrollIntoView({{ block: 'center', behavior: 'instant' }}); \
                 const r = e.getBoundingClientRect(); return {{ x: r.x + r.width / 2, y: r.y + r.height / 2 }}; }})()"
            ))
            .await?;
        let x = place["x"].as_f64().context("it has no place")?;
        let way = [
            ("mouseMoved", 0.0, 0),
            ("mousePressed", 0.0, 1),
            ("mouseMoved", 0.5, 1),
            ("mouseMoved", 1.0, 1),
            ("mouseReleased", 1.0, 0),
        ];
        for (kind, part, buttons) in way {
            let event = json!({ "type": kind, "x": x + right * part, "y": place["y"], "button": "left", "buttons": buttons, "clickCount": 1 });
            self.call("Input.dispatchMouseEvent", event).await?;
        }
        Ok(())
    }

    /// Puts a text into a field, in place of what is there.
    ///
    /// # Errors
    /// There is no such field.
    pub async fn fill(&self, selector: &str, text: &str) -> Result<()> {
        let field = format!("document.querySelector({})", json!(selector));
        self.until(&field, &format!("the field {selector} is there")).await?;
        self.eval(&format!("{field}.focus(), {field}.select(), true")).await?;
        self.write(text).await
    }

    /// Chooses an entry of a list by its value.
    ///
    /// # Errors
    /// There is no such list or entry.
    pub async fn choose(&self, selector: &str, value: &str) -> Result<()> {
        let chosen = self
            .eval(&format!(
                "(() => {{ const e = document.querySelector({}); e.value = {}; \
                 e.dispatchEvent(new Event('input', {{ bubbles: true }})); e.dispatchEvent(new Event('change', {{ bubbles: true }})); \
                 return e.value; }})()",
                json!(selector),
                json!(value)
            ))
            .await?;
        ensure!(chosen == value, "{selector} has no entry {value}");
        Ok(())
    }

    /// Types a text where the focus is.
    ///
    /// # Errors
    /// The browser refuses.
    pub async fn write(&self, text: &str) -> Result<()> {
        self.call("Input.insertText", json!({ "text": text })).await.map(drop)
    }

    /// Presses a key: `Tab`, `Enter`, `Space`, `Escape`, `ArrowLeft` or `ArrowRight`.
    ///
    /// # Errors
    /// It is another key.
    pub async fn press(&self, key: &str) -> Result<()> {
        let (name, code, number, text) = match key {
            "Tab" => ("Tab", "Tab", 9, ""),
            "Enter" => ("Enter", "Enter", 13, "\r"),
            "Space" => (" ", "Space", 32, " "),
            "Escape" => ("Escape", "Escape", 27, ""),
            "ArrowLeft" => ("ArrowLeft", "ArrowLeft", 37, ""),
            "ArrowRight" => ("ArrowRight", "ArrowRight", 39, ""),
            other => bail!("the key {other} is not known here"),
        };
        for kind in ["keyDown", "keyUp"] {
            let text = if kind == "keyDown" { text } else { "" };
            let event = json!({ "type": kind, "key": name, "code": code, "windowsVirtualKeyCode": number, "text": text });
            self.call("Input.dispatchKeyEvent", event).await?;
        }
        Ok(())
    }

    /// Presses Tab until the focus is on what says exactly this; everything on the way must show that it has the focus.
    ///
    /// # Errors
    /// It is never reached, or somewhere nobody could see where the focus is.
    pub async fn tab_to(&self, text: &str) -> Result<()> {
        let mut way = Vec::new();
        for _ in 0..200 {
            self.press("Tab").await?;
            let focus = self
                .eval(
                    "(() => { const e = document.activeElement, s = getComputedStyle(e); \
                     return { says: (e.innerText || e.labels?.[0]?.innerText || e.getAttribute('aria-label') || '').trim(), \
                     seen: e === document.body || s.outlineStyle !== 'none' || s.boxShadow !== 'none' }; })()",
                )
                .await?;
            let says = focus["says"].as_str().unwrap_or_default().to_owned();
            ensure!(focus["seen"] == true, "nobody sees that the focus is on `{says}`");
            if says == text {
                return Ok(());
            }
            way.push(says);
        }
        bail!("`{text}` is not reached by Tab; on the way were {way:?}")
    }

    /// What the page says itself in words of another language than its own, which is German: not output, names and code.
    ///
    /// # Errors
    /// There is no page.
    pub async fn english(&self) -> Result<Vec<String>> {
        let found = self
            .eval(
                "(() => { const page = document.querySelector('main').cloneNode(true); \
                 page.querySelectorAll('pre, code, textarea, datalist').forEach(e => e.remove()); \
                 return page.textContent.split('\\n').map(line => line.trim()).filter(line => /\\b(the|of|and|waits|with|which|is|to)\\b/.test(line)); })()",
            )
            .await?;
        Ok(found
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|line| line.as_str().map(str::to_owned))
            .collect())
    }

    /// How far the page is wider than the window, in CSS pixels, and what sticks out.
    ///
    /// # Errors
    /// There is no page.
    pub async fn overhang(&self) -> Result<Option<String>> {
        let found = self
            .eval(
                "(() => { const wide = document.documentElement.clientWidth; \
                 if (document.documentElement.scrollWidth <= wide) return null; \
                 const out = [...document.querySelectorAll('body *')].filter(e => e.getBoundingClientRect().right > wide + 1); \
                 return document.documentElement.scrollWidth - wide + ' px: ' + out.slice(0, 4).map(e => e.tagName + '.' + e.className).join(', '); })()",
            )
            .await?;
        Ok(found.as_str().map(str::to_owned))
    }

    /// Keeps a picture of the whole page as PNG.
    ///
    /// # Errors
    /// The file cannot be written.
    pub async fn picture(&self, file: &Path) -> Result<()> {
        let size = self.call("Page.getLayoutMetrics", json!({})).await?["cssContentSize"].clone();
        let height = size["height"].as_f64().unwrap_or(900.0).min(6000.0);
        let clip = json!({ "x": 0, "y": 0, "width": size["width"], "height": height, "scale": 1 });
        let params = json!({ "format": "png", "captureBeyondViewport": true, "clip": clip });
        let shot = self.call("Page.captureScreenshot", params).await?;
        let bytes = BASE64.decode(shot["data"].as_str().unwrap_or_default())?;
        if let Some(folder) = file.parent() {
            fs_err::create_dir_all(folder)?;
        }
        Ok(fs_err::write(file, bytes)?)
    }

    /// What the page has complained about until now, but for what was forgiven.
    pub fn complaints(&mut self) -> &[String] {
        let new = self.devtools.take_complaints(&self.session).into_iter();
        self.complaints.extend(new.filter(|text| !self.forgiven.iter().any(|words| text.contains(words))));
        &self.complaints
    }

    /// Ends the work with the page.
    ///
    /// # Errors
    /// It complained.
    pub async fn close(mut self) -> Result<()> {
        // Whatever was said before this answer has arrived by then.
        self.eval("true").await?;
        let complaints = self.complaints();
        ensure!(complaints.is_empty(), "the page complains: {}", complaints.join("; "));
        Ok(())
    }
}
