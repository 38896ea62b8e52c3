//! The attributes of keys that are being made: one place for what is safe by default.

use cryptoki::mechanism::MechanismType;
use cryptoki::object::Attribute;

use crate::cli::NewKeyArgs;
use crate::errors::{During, Result};
use crate::keyspec;
use crate::token::Token;
use crate::usage::{self, Half, Usage};

/// Label, identifier and rules of a key, made of the options.
pub(crate) struct Blueprint {
    label: String,
    id: Vec<u8>,
    usages: Vec<Usage>,
    extractable: bool,
    always_authenticate: bool,
    mechanisms: Vec<MechanismType>,
}

impl Blueprint {
    /// As the options say, and where they say nothing as given here.
    pub(crate) fn new(
        token: &Token<'_>,
        args: &NewKeyArgs,
        label: Option<&str>,
        id: Vec<u8>,
        usages: &[Usage],
    ) -> Result<Self> {
        let label = args.label.as_deref().or(label).unwrap_or_default().to_owned();
        let usages = if args.usage.is_empty() { usages } else { &args.usage };
        let known = if args.allowed_mechanism.is_empty() {
            Vec::new()
        } else {
            token
                .module
                .get_mechanism_list(token.place.slot)
                .during("cannot list the mechanisms of the module")?
        };
        let mechanisms = args
            .allowed_mechanism
            .iter()
            .map(|name| keyspec::mechanism(&known, name))
            .collect::<Result<_>>()?;
        Ok(Self {
            label,
            id: args.id.as_ref().map_or(id, |id| id.0.clone()),
            usages: usages.to_vec(),
            extractable: args.extractable,
            always_authenticate: args.always_authenticate,
            mechanisms,
        })
    }

    fn common(&self, half: Half) -> Vec<Attribute> {
        let mut attributes = vec![
            Attribute::Token(true),
            Attribute::Private(half != Half::Public),
            Attribute::Label(self.label.clone().into_bytes()),
            Attribute::Id(self.id.clone()),
        ];
        attributes.extend(usage::attributes(half, &self.usages));
        if !self.mechanisms.is_empty() {
            attributes.push(Attribute::AllowedMechanisms(self.mechanisms.clone()));
        }
        attributes
    }

    /// For the public half of a pair.
    pub(crate) fn public(&self) -> Vec<Attribute> {
        self.common(Half::Public)
    }

    /// For the private half of a pair. Sensitive always: no command here prints a key.
    pub(crate) fn private(&self) -> Vec<Attribute> {
        let mut attributes = self.common(Half::Private);
        attributes.push(Attribute::Sensitive(true));
        attributes.push(Attribute::Extractable(self.extractable));
        if self.always_authenticate {
            attributes.push(Attribute::AlwaysAuthenticate(true));
        }
        attributes
    }

    /// For a secret key.
    pub(crate) fn secret(&self) -> Vec<Attribute> {
        let mut attributes = self.common(Half::Secret);
        attributes.push(Attribute::Sensitive(true));
        attributes.push(Attribute::Extractable(self.extractable));
        attributes
    }
}
