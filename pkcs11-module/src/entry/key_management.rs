//! Section 5.18, key management functions.

use cryptoki_sys::{CK_ATTRIBUTE, CK_MECHANISM};
use strongroom_types::Room;

use super::message::settle;
use super::{object, session};
use crate::abi::{CkUlong, InPtr, OutBuf, OutPtr, narrow};
use crate::module::{compatible, layouts, message_layouts, module};

functions! {
    /// Generates a secret key, or domain parameters.
    fn C_GenerateKey(
        handle: CkUlong,
        mechanism: InPtr<'_, CK_MECHANISM>,
        template: InPtr<'_, CK_ATTRIBUTE>,
        count: CkUlong,
        key: OutPtr<'_, CkUlong>,
    ) {
        let module = module()?;
        let session = session(handle);
        let key = module.read(session, key.place())?;
        let mechanism = module.read(session, mechanism.mechanism(layouts))?;
        let template = module.read(session, template.template(count))?;
        key.put(narrow(module.generate_key(session, mechanism, template)?.0)?)
    }

    /// Generates a public and a private key.
    fn C_GenerateKeyPair(
        handle: CkUlong,
        mechanism: InPtr<'_, CK_MECHANISM>,
        public_template: InPtr<'_, CK_ATTRIBUTE>,
        public_count: CkUlong,
        private_template: InPtr<'_, CK_ATTRIBUTE>,
        private_count: CkUlong,
        public_key: OutPtr<'_, CkUlong>,
        private_key: OutPtr<'_, CkUlong>,
    ) {
        let module = module()?;
        let session = session(handle);
        let public_key = module.read(session, public_key.place())?;
        let private_key = module.read(session, private_key.place())?;
        let mechanism = module.read(session, mechanism.mechanism(layouts))?;
        let public = module.read(session, public_template.template(public_count))?;
        let private = module.read(session, private_template.template(private_count))?;
        let (public, private) = module.generate_key_pair(session, mechanism, public, private)?;
        public_key.put(narrow(public.0)?)?;
        private_key.put(narrow(private.0)?)
    }

    /// Wraps a key.
    fn C_WrapKey(
        handle: CkUlong,
        mechanism: InPtr<'_, CK_MECHANISM>,
        wrapping_key: CkUlong,
        key: CkUlong,
        wrapped: OutPtr<'_, u8>,
        wrapped_len: OutPtr<'_, CkUlong>,
    ) {
        let module = module()?;
        let session = session(handle);
        let mechanism = mechanism.mechanism_with_places(layouts);
        let (mechanism, places) = module.read(session, mechanism)?;
        let out = module.read(session, OutBuf::new(wrapped, wrapped_len))?;
        let (wrapping_key, key) = (object(wrapping_key), object(key));
        let made = module.wrap_key(session, mechanism, wrapping_key, key, out.room())?;
        settle(made, out, places)
    }

    /// Unwraps a key.
    fn C_UnwrapKey(
        handle: CkUlong,
        mechanism: InPtr<'_, CK_MECHANISM>,
        unwrapping_key: CkUlong,
        wrapped: InPtr<'_, u8>,
        wrapped_len: CkUlong,
        template: InPtr<'_, CK_ATTRIBUTE>,
        count: CkUlong,
        key: OutPtr<'_, CkUlong>,
    ) {
        let module = module()?;
        let session = session(handle);
        let key = module.read(session, key.place())?;
        let mechanism = module.read(session, mechanism.mechanism(layouts))?;
        let wrapped = module.read(session, wrapped.short_slice(wrapped_len))?;
        let template = module.read(session, template.template(count))?;
        let unwrapping_key = object(unwrapping_key);
        key.put(narrow(module.unwrap_key(session, mechanism, unwrapping_key, wrapped, template)?.0)?)
    }

    /// Wraps a key, with data that is authenticated beside it.
    fn C_WrapKeyAuthenticated(
        handle: CkUlong,
        mechanism: InPtr<'_, CK_MECHANISM>,
        wrapping_key: CkUlong,
        key: CkUlong,
        associated: InPtr<'_, u8>,
        associated_len: CkUlong,
        wrapped: OutPtr<'_, u8>,
        wrapped_len: OutPtr<'_, CkUlong>,
    ) {
        let module = module()?;
        let session = session(handle);
        let call = mechanism.mechanism_with_places(message_layouts);
        let (mechanism, places) = module.read(session, call)?;
        let out = module.read(session, OutBuf::new(wrapped, wrapped_len))?;
        let associated = module.read(session, associated.slice(associated_len))?;
        let (with, key, room) = (object(wrapping_key), object(key), out.room());
        let made = module.wrap_key_authenticated(session, mechanism, with, key, associated, room)?;
        settle(made, out, places)
    }

    /// Unwraps a key, with data that was authenticated beside it.
    fn C_UnwrapKeyAuthenticated(
        handle: CkUlong,
        mechanism: InPtr<'_, CK_MECHANISM>,
        unwrapping_key: CkUlong,
        wrapped: InPtr<'_, u8>,
        wrapped_len: CkUlong,
        template: InPtr<'_, CK_ATTRIBUTE>,
        count: CkUlong,
        associated: InPtr<'_, u8>,
        associated_len: CkUlong,
        key: OutPtr<'_, CkUlong>,
    ) {
        let module = module()?;
        let session = session(handle);
        let key = module.read(session, key.place())?;
        let call = module.read(session, mechanism.mechanism(message_layouts))?;
        let wrapped = module.read(session, wrapped.short_slice(wrapped_len))?;
        let template = module.read(session, template.template(count))?;
        let associated = module.read(session, associated.slice(associated_len))?;
        let with = object(unwrapping_key);
        let made =
            module.unwrap_key_authenticated(session, call, with, wrapped, template, associated)?;
        key.put(narrow(made.0)?)
    }

    /// Derives a key.
    fn C_DeriveKey(
        handle: CkUlong,
        mechanism: InPtr<'_, CK_MECHANISM>,
        base_key: CkUlong,
        template: InPtr<'_, CK_ATTRIBUTE>,
        count: CkUlong,
        key: OutPtr<'_, CkUlong>,
    ) {
        let module = module()?;
        let session = session(handle);
        let mechanism = mechanism.mechanism_with_places(layouts);
        let (mechanism, places) = module.read(session, mechanism)?;
        let template = module.read(session, template.template(count))?;
        let wanted = !key.is_null();
        let derived = module.derive_key(session, mechanism, object(base_key), template, wanted);
        let derived = derived.inspect_err(|_| places.nothing_made())?;
        places.put(derived.placed)?;
        derived.key.map_or(Ok(()), |handle| key.place()?.put(narrow(handle.0)?))
    }

    /// Makes a secret key that the holder of a private key can make, too.
    fn C_EncapsulateKey(
        handle: CkUlong,
        mechanism: InPtr<'_, CK_MECHANISM>,
        public_key: CkUlong,
        template: InPtr<'_, CK_ATTRIBUTE>,
        count: CkUlong,
        ciphertext: OutPtr<'_, u8>,
        ciphertext_len: OutPtr<'_, CkUlong>,
        key: OutPtr<'_, CkUlong>,
    ) {
        let module = module()?;
        let session = session(handle);
        let out = module.read(session, OutBuf::new(ciphertext, ciphertext_len))?;
        let place = match out.room() {
            Room::Query => None,
            Room::Bytes(_) => Some(module.read(session, key.place())?),
        };
        let mechanism = module.read(session, mechanism.mechanism(layouts))?;
        let template = module.read(session, template.template(count))?;
        let public_key = object(public_key);
        let (output, made) =
            module.encapsulate_key(session, mechanism, public_key, template, out.room())?;
        out.settle(output)?;
        match (made, place) {
            (Some(made), Some(place)) => place.put(narrow(made.0)?),
            _ => Ok(()),
        }
    }

    /// Makes the secret key of a ciphertext.
    fn C_DecapsulateKey(
        handle: CkUlong,
        mechanism: InPtr<'_, CK_MECHANISM>,
        private_key: CkUlong,
        template: InPtr<'_, CK_ATTRIBUTE>,
        count: CkUlong,
        ciphertext: InPtr<'_, u8>,
        ciphertext_len: CkUlong,
        key: OutPtr<'_, CkUlong>,
    ) {
        let module = module()?;
        let session = session(handle);
        let key = module.read(session, key.place())?;
        let mechanism = module.read(session, mechanism.mechanism(layouts))?;
        let template = module.read(session, template.template(count))?;
        // SoftHSM2 takes one that is null for an empty one, which it refuses.
        let len = if compatible() && ciphertext.is_null() { 0 } else { ciphertext_len };
        let ciphertext = module.read(session, ciphertext.short_slice(len))?;
        let private_key = object(private_key);
        let made = module.decapsulate_key(session, mechanism, private_key, template, ciphertext)?;
        key.put(narrow(made.0)?)
    }
}
