//! PKCS#11 URIs (RFC 7512): how tokens, keys and certificates are named across programs.

use crate::errors::{Failure, Result};

/// The path attributes that name a token or an object, and where the PIN is.
///
/// Attributes of the RFC that no command here can match on (`library-*`, `slot-*` but the
/// id, `module-*`) are refused rather than ignored: a name must not match more than it says.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Uri {
    pub(crate) token: Option<String>,
    pub(crate) serial: Option<String>,
    pub(crate) manufacturer: Option<String>,
    pub(crate) model: Option<String>,
    pub(crate) slot: Option<u64>,
    pub(crate) object: Option<String>,
    pub(crate) id: Option<Vec<u8>>,
    pub(crate) kind: Option<String>,
    /// The query attribute `pin-source`.
    pub(crate) pin_source: Option<String>,
    /// The query attribute `pin-value`.
    pub(crate) pin_value: Option<zeroize::Zeroizing<String>>,
}

impl Uri {
    /// Whether this text means to be a URI.
    pub(crate) fn is_uri(text: &str) -> bool {
        text.starts_with("pkcs11:")
    }

    /// Reads a URI.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let rest = text.strip_prefix("pkcs11:").ok_or_else(|| wrong(text, "no pkcs11: scheme"))?;
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let mut uri = Self::default();
        for attribute in path.split(';').filter(|part| !part.is_empty()) {
            uri.path_attribute(text, attribute)?;
        }
        for attribute in query.split('&').filter(|part| !part.is_empty()) {
            uri.query_attribute(text, attribute)?;
        }
        Ok(uri)
    }

    fn path_attribute(&mut self, text: &str, attribute: &str) -> Result<()> {
        let (name, bytes) = pair(text, attribute)?;
        if name == "id" {
            return once(text, name, &mut self.id, bytes);
        }
        let value = String::from_utf8(bytes).map_err(|error| wrong(text, &error.to_string()))?;
        match name {
            "token" => once(text, name, &mut self.token, value),
            "serial" => once(text, name, &mut self.serial, value),
            "manufacturer" => once(text, name, &mut self.manufacturer, value),
            "model" => once(text, name, &mut self.model, value),
            "object" => once(text, name, &mut self.object, value),
            "type" => once(text, name, &mut self.kind, value),
            "slot-id" => {
                let slot = value.parse().map_err(|_| wrong(text, "slot-id is not a number"))?;
                once(text, name, &mut self.slot, slot)
            }
            _ => Err(wrong(text, &format!("the attribute {name} is not supported here"))),
        }
    }

    fn query_attribute(&mut self, text: &str, attribute: &str) -> Result<()> {
        let (name, bytes) = pair(text, attribute)?;
        let value = String::from_utf8(bytes).map_err(|error| wrong(text, &error.to_string()))?;
        match name {
            "pin-source" => once(text, name, &mut self.pin_source, value),
            "pin-value" => once(text, name, &mut self.pin_value, value.into()),
            // The module is chosen with --module; a name from elsewhere must not load code.
            "module-name" | "module-path" => Ok(()),
            _ => Err(wrong(text, &format!("the attribute {name} is not supported here"))),
        }
    }

    /// Whether the URI says anything about the token.
    pub(crate) fn names_token(&self) -> bool {
        self.token.is_some()
            || self.serial.is_some()
            || self.manufacturer.is_some()
            || self.model.is_some()
            || self.slot.is_some()
    }

    /// Whether the URI says anything about an object.
    pub(crate) fn names_object(&self) -> bool {
        self.object.is_some() || self.id.is_some()
    }
}

impl std::fmt::Display for Uri {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = |name, value: &Option<String>| {
            value.as_ref().map(|value| format!("{name}={}", escape(value.as_bytes(), false)))
        };
        let parts: Vec<String> = [
            text("token", &self.token),
            text("serial", &self.serial),
            self.id.as_ref().map(|id| format!("id={}", escape(id, true))),
            text("object", &self.object),
            text("type", &self.kind),
        ]
        .into_iter()
        .flatten()
        .collect();
        write!(f, "pkcs11:{}", parts.join(";"))
    }
}

fn once<T>(text: &str, name: &str, slot: &mut Option<T>, value: T) -> Result<()> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(wrong(text, &format!("the attribute {name} is there twice"))),
    }
}

fn pair<'a>(text: &str, attribute: &'a str) -> Result<(&'a str, Vec<u8>)> {
    let (name, value) =
        attribute.split_once('=').ok_or_else(|| wrong(text, "an attribute has no value"))?;
    let bytes = unescape(value).ok_or_else(|| wrong(text, "a % escape is not hexadecimal"))?;
    Ok((name, bytes))
}

fn wrong(text: &str, cause: &str) -> Failure {
    // What follows the question mark may hold a PIN, and error messages end up in logs.
    let shown = text.split('?').next().unwrap_or_default();
    Failure::usage(format!("{shown} is not a PKCS#11 URI that can be used here"))
        .cause(cause)
        .help("write it as in RFC 7512: pkcs11:token=LABEL;object=LABEL;id=%01%02")
}

fn unescape(value: &str) -> Option<Vec<u8>> {
    let mut bytes = value.bytes();
    let mut out = Vec::with_capacity(value.len());
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        let digits = [bytes.next()?, bytes.next()?];
        let mut decoded = [0];
        hex::decode_to_slice(digits, &mut decoded).ok()?;
        out.extend(decoded);
    }
    Some(out)
}

/// Escapes what RFC 3986 does not call unreserved; an id is escaped as a whole.
fn escape(bytes: &[u8], whole: bool) -> String {
    bytes.iter().fold(String::new(), |mut out, byte| {
        if !whole && (byte.is_ascii_alphanumeric() || b"-._~".contains(byte)) {
            out.push(char::from(*byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uri_is_read_and_written_back() {
        let text = "pkcs11:token=My%20Token;serial=0123;id=%01%FF;object=a%2Fb;type=private";
        let uri = Uri::parse(text).ok().unwrap();
        assert_eq!(uri.token.as_deref(), Some("My Token"));
        assert_eq!(uri.id.as_deref(), Some(&[1, 255][..]));
        assert_eq!(uri.to_string(), text);
    }

    #[test]
    fn the_pin_is_found_and_never_shown() {
        let uri = Uri::parse("pkcs11:object=k?pin-value=1234").ok().unwrap();
        assert_eq!(uri.pin_value.unwrap().as_str(), "1234");
        let failure = Uri::parse("pkcs11:bad?pin-value=1234").err().unwrap();
        assert!(failure.lines().all(|(_, line)| !line.contains("1234")));
    }

    #[test]
    fn nonsense_is_refused() {
        for text in ["pkcs11:id=%4", "pkcs11:token", "pkcs11:token=a;token=b", "pkcs11:x=1"] {
            assert!(Uri::parse(text).is_err(), "{text}");
        }
    }
}
