//! Section 5.7, object management functions.

use cryptoki_sys::CK_ATTRIBUTE;

use super::{object, session};
use crate::abi::{CkUlong, InPtr, OutList, OutPtr, Query, narrow, numbers};
use crate::module::module;

functions! {
    /// Makes an object.
    fn C_CreateObject(
        handle: CkUlong,
        template: InPtr<'_, CK_ATTRIBUTE>,
        count: CkUlong,
        created: OutPtr<'_, CkUlong>,
    ) {
        let module = module()?;
        let session = session(handle);
        let created = module.read(session, created.place())?;
        let template = module.read(session, template.template(count))?;
        created.put(narrow(module.create_object(session, template)?.0)?)
    }

    /// Copies an object.
    fn C_CopyObject(
        handle: CkUlong,
        original: CkUlong,
        template: InPtr<'_, CK_ATTRIBUTE>,
        count: CkUlong,
        copy: OutPtr<'_, CkUlong>,
    ) {
        let module = module()?;
        let session = session(handle);
        let copy = module.read(session, copy.place())?;
        let template = module.read(session, template.template(count))?;
        copy.put(narrow(module.copy_object(session, object(original), template)?.0)?)
    }

    /// Destroys an object.
    fn C_DestroyObject(handle: CkUlong, destroyed: CkUlong) {
        module()?.destroy_object(session(handle), object(destroyed))
    }

    /// Tells how large an object is.
    fn C_GetObjectSize(handle: CkUlong, measured: CkUlong, size: OutPtr<'_, CkUlong>) {
        let module = module()?;
        let session = session(handle);
        let size = module.read(session, size.place())?;
        size.put(narrow(module.object_size(session, object(measured))?)?)
    }

    /// Gives attributes of an object.
    fn C_GetAttributeValue(
        handle: CkUlong,
        asked: CkUlong,
        template: OutPtr<'_, CK_ATTRIBUTE>,
        count: CkUlong,
    ) {
        let module = module()?;
        let session = session(handle);
        let query = module.read(session, Query::new(template, count))?;
        let values = module.attributes(session, object(asked), query.wanted())?;
        query.settle(&values)
    }

    /// Changes attributes of an object.
    fn C_SetAttributeValue(
        handle: CkUlong,
        changed: CkUlong,
        template: InPtr<'_, CK_ATTRIBUTE>,
        count: CkUlong,
    ) {
        let module = module()?;
        let session = session(handle);
        let template = module.read(session, template.template(count))?;
        module.set_attributes(session, object(changed), template)
    }

    /// Starts a search.
    fn C_FindObjectsInit(handle: CkUlong, template: InPtr<'_, CK_ATTRIBUTE>, count: CkUlong) {
        let module = module()?;
        let session = session(handle);
        let template = module.read(session, template.template(count))?;
        module.find_objects_init(session, template)
    }

    /// Gives the next objects that the search found.
    fn C_FindObjects(
        handle: CkUlong,
        list: OutPtr<'_, CkUlong>,
        most: CkUlong,
        count: OutPtr<'_, CkUlong>,
    ) {
        let module = module()?;
        let session = session(handle);
        let list = module.read(session, OutList::up_to(most, list, count))?;
        let found = module.find_objects(session, list.room())?;
        list.settle(&numbers(found.iter().map(|object| object.0))?)
    }

    /// Ends a search.
    fn C_FindObjectsFinal(handle: CkUlong) {
        module()?.find_objects_final(session(handle))
    }
}
