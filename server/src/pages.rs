//! The door to templates: pages in every language, and the files that they refer to.
//!
//! Invariant: a text that is missing in a language, and a value that a template names but nobody gave, are errors, not gaps.

mod sentences;

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap},
    path::Path,
    sync::Arc,
};

use fluent_templates::{ArcLoader, LanguageIdentifier, fluent_bundle::FluentValue};
use serde::Serialize;
use tera::{Context, Kwargs, State, Tera, TeraResult, Value, escape_html};

use self::sentences::Sentences;

/// The languages of the pages; the first one is for those who want none of them.
pub const LANGUAGES: [&str; 2] = ["en", "de"];

/// Templates and files cannot be read, or a page cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or folder cannot be read.
    #[error("reading the pages' files")]
    Read(#[source] std::io::Error),
    /// Texts of a language are wrong.
    #[error("reading the pages' texts: {0}")]
    Texts(String),
    /// A template is wrong.
    #[error("reading the pages' templates: {0}")]
    Templates(String),
    /// A page cannot be written.
    #[error("writing the page {page}: {reason}")]
    Render {
        /// Which.
        page: String,
        /// Why.
        reason: String,
    },
}

/// A file that pages refer to.
#[derive(Clone, Debug)]
pub struct Asset {
    /// Media type.
    pub media_type: &'static str,
    /// Content.
    pub bytes: bytes::Bytes,
    /// Changes with the content.
    pub tag: String,
}

/// All pages.
pub struct Pages {
    languages: BTreeMap<&'static str, Tera>,
    texts: Arc<ArcLoader>,
    sentences: BTreeMap<&'static str, Arc<Sentences>>,
    assets: BTreeMap<String, Asset>,
}

impl Pages {
    /// Reads `SHARE/templates`.
    ///
    /// # Errors
    /// A file cannot be read, or a template or text is wrong.
    pub fn load(share: &Path) -> Result<Self, Error> {
        let root = share.join("templates");
        let texts = texts(&root)?;
        let templates = templates(&root)?;
        let (mut languages, mut sentences) = (BTreeMap::new(), BTreeMap::new());
        for language in LANGUAGES {
            let mut tera = Tera::default();
            let id: LanguageIdentifier =
                language.parse().map_err(|error| Error::Texts(format!("{language}: {error}")))?;
            let texts = Arc::clone(&texts);
            tera.register_function("t", move |words: Kwargs, _: &State<'_>| text(&texts, &id, &words));
            let known = Arc::new(read_sentences(&root, language)?);
            sentences.insert(language, Arc::clone(&known));
            tera.register_function("said", move |words: Kwargs, _: &State<'_>| -> TeraResult<String> {
                Ok(known.say(words.must_get("text")?).into_owned())
            });
            tera.register_filter("code", code);
            tera.add_raw_templates(templates.iter().map(|(name, text)| (name.as_str(), text.as_str())))
                .map_err(|error| Error::Templates(error.to_string()))?;
            languages.insert(language, tera);
        }
        Ok(Self { languages, texts, sentences, assets: assets(&root.join("assets"))? })
    }

    /// Writes a page.
    ///
    /// # Errors
    /// A text or a value is missing.
    pub fn render(&self, language: &str, page: &str, context: &impl Serialize) -> Result<String, Error> {
        let failed = |reason: String| Error::Render { page: page.to_owned(), reason };
        let tera = self
            .languages
            .get(language)
            .ok_or_else(|| failed(format!("there is no language `{language}`")))?;
        let context = Context::from_serialize(context).map_err(|error| failed(error.to_string()))?;
        tera.render(page, &context).map_err(|error| failed(error.to_string()))
    }

    /// A text with its values, when the language has it.
    pub fn text(&self, language: &str, key: &str, values: &[(&'static str, &str)]) -> Option<String> {
        let id: LanguageIdentifier = language.parse().ok()?;
        let values =
            values.iter().map(|(name, value)| (Cow::Borrowed(*name), FluentValue::from((*value).to_owned())));
        self.texts.lookup_no_default_fallback(&id, key, Some(&values.collect()))
    }

    /// What the server or an agent says in English, in the reader's language where that is known.
    pub fn say<'a>(&self, language: &str, english: &'a str) -> Cow<'a, str> {
        self.sentences.get(language).map_or(Cow::Borrowed(english), |known| known.say(english))
    }

    /// A file that pages refer to.
    pub fn asset(&self, name: &str) -> Option<&Asset> {
        self.assets.get(name)
    }
}

/// What stands between two backticks is something to type, and is shown so.
fn code(text: &str, _: Kwargs, _: &State<'_>) -> TeraResult<Value> {
    let mut marked = Vec::new();
    let mut rest = text;
    while let Some((before, (typed, after))) =
        rest.split_once('`').and_then(|(before, open)| Some((before, open.split_once('`')?)))
    {
        escape_html(before, &mut marked)?;
        marked.extend_from_slice(b"<code>");
        escape_html(typed, &mut marked)?;
        marked.extend_from_slice(b"</code>");
        rest = after;
    }
    escape_html(rest, &mut marked)?;
    Ok(Value::safe_string(&String::from_utf8_lossy(&marked)))
}

fn texts(root: &Path) -> Result<Arc<ArcLoader>, Error> {
    let fallback = LANGUAGES[0].parse().map_err(|error| Error::Texts(format!("{error}")))?;
    // The marks around values that this would add are for texts of mixed writing direction.
    let loader = ArcLoader::builder(&root.join("locales"), fallback)
        .customize(|bundle| bundle.set_use_isolating(false))
        .build()
        .map_err(|error| Error::Texts(error.to_string()))?;
    Ok(Arc::new(loader))
}

fn read_sentences(root: &Path, language: &str) -> Result<Sentences, Error> {
    let file = root.join("sentences").join(language).with_extension("yaml");
    let text = fs_err::read_to_string(&file).map_err(Error::Read)?;
    Sentences::read(&text).map_err(|error| Error::Texts(format!("{}: {error}", file.display())))
}

/// `{{ t(key="stage-installed", count=3) }}`: the text of a language, with values.
fn text(texts: &ArcLoader, language: &LanguageIdentifier, words: &Kwargs) -> TeraResult<String> {
    let key: &str = words.must_get("key")?;
    let mut values: HashMap<Cow<'static, str>, FluentValue<'_>> = HashMap::new();
    for (name, value) in words.iter() {
        let name = name.to_string();
        if let ("values", Some(map)) = (name.as_str(), value.as_map()) {
            // All at once, for texts whose values only the program knows.
            values.extend(
                map.iter().map(|(name, value)| {
                    (Cow::Owned(name.to_string()), FluentValue::from(value.to_string()))
                }),
            );
        } else if name != "key" && name != "or" {
            let value = match value.as_i64() {
                Some(number) => FluentValue::from(number),
                None => FluentValue::from(value.to_string()),
            };
            values.insert(Cow::Owned(name), value);
        }
    }
    // No fallback to another language: what is missing is to be noticed. `or` is for words that come from elsewhere.
    match (texts.lookup_no_default_fallback(language, key, Some(&values)), words.get::<String>("or")?) {
        (Some(text), _) | (None, Some(text)) => Ok(text),
        (None, None) => Err(tera::Error::message(format!("there is no text `{key}` in {language}"))),
    }
}

fn templates(root: &Path) -> Result<Vec<(String, String)>, Error> {
    let mut found = Vec::new();
    for folder in [root.to_owned(), root.join("pages"), root.join("mails")] {
        for entry in fs_err::read_dir(&folder).map_err(Error::Read)? {
            let path = entry.map_err(Error::Read)?.path();
            if path.extension().is_some_and(|extension| extension == "html" || extension == "txt") {
                let name = path.strip_prefix(root).unwrap_or(&path).display().to_string();
                found.push((name, fs_err::read_to_string(&path).map_err(Error::Read)?));
            }
        }
    }
    Ok(found)
}

fn assets(folder: &Path) -> Result<BTreeMap<String, Asset>, Error> {
    let mut found = BTreeMap::new();
    for entry in fs_err::read_dir(folder).map_err(Error::Read)? {
        let path = entry.map_err(Error::Read)?.path();
        let media_type = match path.extension().and_then(std::ffi::OsStr::to_str) {
            Some("css") => "text/css; charset=utf-8",
            Some("js") => "text/javascript; charset=utf-8",
            Some("svg") => "image/svg+xml",
            _ => continue,
        };
        let bytes = bytes::Bytes::from(fs_err::read(&path).map_err(Error::Read)?);
        let tag = crate::blobs::hash(&bytes).as_str()[..16].to_owned();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        found.insert(name, Asset { media_type, bytes, tag });
    }
    Ok(found)
}

#[cfg(test)]
mod tests;
