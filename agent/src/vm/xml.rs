//! XML as a tree of elements: written with every value escaped, read, changed and written again without loss of what libvirt says.

use std::borrow::Cow;

use quick_xml::{
    Reader, Writer, XmlVersion,
    escape::resolve_predefined_entity,
    events::{BytesEnd, BytesRef, BytesStart, BytesText, Event},
};

/// An element with what is in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Element {
    name: String,
    attributes: Vec<(String, String)>,
    content: Vec<Content>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Content {
    Element(Element),
    Text(String),
}

/// Why a text is no XML of ours.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// It is none at all.
    #[error(transparent)]
    Syntax(#[from] quick_xml::Error),
    /// An attribute is wrong.
    #[error(transparent)]
    Attribute(#[from] quick_xml::events::attributes::AttrError),
    /// An element is not closed, or there is none.
    #[error("it ends too early")]
    Short,
    /// It refers to what nobody has declared.
    #[error("`&{0};` is not known")]
    Entity(String),
}

impl Element {
    /// An empty element.
    pub(crate) fn new(name: &str) -> Self {
        Self { name: name.to_owned(), ..Self::default() }
    }

    /// With an attribute.
    #[must_use]
    pub(crate) fn with(mut self, name: &str, value: impl ToString) -> Self {
        self.attributes.push((name.to_owned(), value.to_string()));
        self
    }

    /// With a text in it.
    #[must_use]
    pub(crate) fn text(mut self, text: impl ToString) -> Self {
        self.content.push(Content::Text(text.to_string()));
        self
    }

    /// With elements in it.
    #[must_use]
    pub(crate) fn holds(mut self, elements: impl IntoIterator<Item = Self>) -> Self {
        self.content.extend(elements.into_iter().map(Content::Element));
        self
    }

    /// The value of an attribute; empty when there is none.
    pub(crate) fn attribute(&self, name: &str) -> &str {
        self.attributes.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }

    /// The text that is directly in it, without white space around it.
    pub(crate) fn content(&self) -> String {
        let texts = self.content.iter().filter_map(|content| match content {
            Content::Text(text) => Some(text.as_str()),
            Content::Element(_) => None,
        });
        texts.collect::<String>().trim().to_owned()
    }

    /// The elements of a name that are directly in it.
    pub(crate) fn all<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a Self> {
        self.content.iter().filter_map(move |content| match content {
            Content::Element(element) if element.name == name => Some(element),
            _ => None,
        })
    }

    /// The first element on a way of names.
    pub(crate) fn find<'a>(&'a self, way: &[&str]) -> Option<&'a Self> {
        match way.split_first() {
            None => Some(self),
            Some((name, rest)) => self.all(name).find_map(|element| element.find(rest)),
        }
    }

    /// The elements of a name that are directly in it, to be changed.
    pub(crate) fn all_mut<'a>(&'a mut self, name: &str) -> impl Iterator<Item = &'a mut Self> {
        self.content.iter_mut().filter_map(move |content| match content {
            Content::Element(element) if element.name == name => Some(element),
            _ => None,
        })
    }

    /// Takes the elements of a name out of it; tells whether there was any.
    pub(crate) fn remove(&mut self, name: &str) -> bool {
        let before = self.content.len();
        self.content.retain(|content| !matches!(content, Content::Element(element) if element.name == name));
        self.content.len() < before
    }

    /// The element as text.
    pub(crate) fn write(&self) -> String {
        let mut writer = Writer::new(Vec::new());
        self.write_to(&mut writer);
        String::from_utf8_lossy(&writer.into_inner()).into_owned()
    }

    fn write_to(&self, writer: &mut Writer<Vec<u8>>) {
        let pairs = self.attributes.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let start = BytesStart::new(self.name.as_str()).with_attributes(pairs);
        // Writing into memory does not fail.
        if self.content.is_empty() {
            writer.write_event(Event::Empty(start)).ok();
            return;
        }
        writer.write_event(Event::Start(start)).ok();
        for content in &self.content {
            match content {
                Content::Element(element) => element.write_to(writer),
                Content::Text(text) => {
                    writer.write_event(Event::Text(BytesText::new(text))).ok();
                }
            }
        }
        writer.write_event(Event::End(BytesEnd::new(self.name.as_str()))).ok();
    }

    /// Reads the outermost element of a text.
    ///
    /// # Errors
    /// It is no XML.
    pub(crate) fn read(text: &str) -> Result<Self, Error> {
        let mut reader = Reader::from_str(text);
        let mut open: Vec<Self> = Vec::new();
        loop {
            let closed = match reader.read_event()? {
                Event::Start(start) => {
                    open.push(begun(&start)?);
                    continue;
                }
                Event::Empty(start) => begun(&start)?,
                Event::End(_) => open.pop().ok_or(Error::Short)?,
                Event::Text(text) => {
                    add_text(&mut open, &text.xml10_content());
                    continue;
                }
                Event::CData(text) => {
                    add_text(&mut open, &text.xml10_content());
                    continue;
                }
                Event::GeneralRef(reference) => {
                    add_text(&mut open, &resolved(&reference)?);
                    continue;
                }
                Event::Eof => return Err(Error::Short),
                Event::Decl(_) | Event::PI(_) | Event::DocType(_) | Event::Comment(_) => continue,
            };
            match open.last_mut() {
                Some(outer) => outer.content.push(Content::Element(closed)),
                None => return Ok(closed),
            }
        }
    }
}

fn begun(start: &BytesStart<'_>) -> Result<Element, Error> {
    let mut element = Element::new(start.name().as_ref());
    for attribute in start.attributes() {
        let attribute = attribute?;
        let value = attribute.normalized_value(XmlVersion::Implicit1_0)?;
        element.attributes.push((attribute.key.as_ref().to_owned(), value.into_owned()));
    }
    Ok(element)
}

/// Text beside the outermost element is white space. What stands on both sides of an entity is one text.
fn add_text(open: &mut [Element], text: &str) {
    let Some(element) = open.last_mut() else { return };
    match element.content.last_mut() {
        Some(Content::Text(before)) => before.push_str(text),
        _ => element.content.push(Content::Text(text.to_owned())),
    }
}

fn resolved(reference: &BytesRef<'_>) -> Result<Cow<'static, str>, Error> {
    if let Some(sign) = reference.resolve_char_ref()? {
        return Ok(Cow::Owned(sign.to_string()));
    }
    let name = reference.xml10_content();
    resolve_predefined_entity(&name).map(Cow::Borrowed).ok_or_else(|| Error::Entity(name.into_owned()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_tree_is_read_changed_and_written() {
        let text =
            "<?xml version='1.0'?>\n<!-- x --><a><b c=\"1 &lt; 2\">x &amp; &#65;y</b><b/><d><b/></d></a>";
        let mut tree = Element::read(text).unwrap();
        assert_eq!(tree.find(&["b"]).unwrap().attribute("c"), "1 < 2");
        assert_eq!(tree.find(&["b"]).unwrap().content(), "x & Ay");
        assert_eq!(tree.all("b").count(), 2);
        assert!(tree.find(&["d", "b"]).is_some() && tree.find(&["d", "x"]).is_none());
        assert!(tree.remove("b") && !tree.remove("b"));
        assert_eq!(tree.write(), "<a><d><b/></d></a>");
        for wrong in ["", "<a>", "<a></b>", "<a>&nobody;</a>", "text"] {
            assert!(Element::read(wrong).is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn no_value_becomes_anything_but_itself(value in "[ -~äöü€]{0,40}", text in "[!-~ä]([ -~ä]{0,40}[!-~])?") {
            let written = Element::new("a").with("b", &value).text(&text).write();
            let read = Element::read(&written).unwrap();
            prop_assert_eq!((read.attribute("b"), read.content()), (value.as_str(), text));
        }
    }
}
