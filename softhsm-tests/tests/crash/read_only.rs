//! A store that nobody may write, as an image or a mounted secret is one.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use strongroom_softhsm_tests::SoftHsm2::Fails;
use strongroom_softhsm_tests::raw::obey_permissions;
use strongroom_softhsm_tests::{Rv, count, not_run, table};

use crate::model::{
    Actor, Dice, End, OBJECT_WISHES, initialize, look_as_user, make_full_token, store, things,
};

/// A directory that nobody may write, with what is in it, until this is dropped.
struct ReadOnly(PathBuf);

impl ReadOnly {
    fn new(directory: PathBuf) -> Self {
        permit(&directory, 0o500, 0o400);
        Self(directory)
    }

    /// Whether neither this process nor one that it starts may write there all the same.
    fn holds(&self) -> bool {
        let other = Command::new("test").arg("-w").arg(&self.0).status().expect("test");
        File::create(self.0.join("new")).is_err() && !other.success()
    }
}

impl Drop for ReadOnly {
    fn drop(&mut self) {
        permit(&self.0, 0o700, 0o600);
    }
}

/// Gives each directory and each file these permissions.
fn permit(directory: &Path, directories: u32, files: u32) {
    let set = |path: &Path, mode| fs::set_permissions(path, Permissions::from_mode(mode));
    set(directory, 0o700).expect("a directory");
    for entry in fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            permit(&path, directories, files);
        } else {
            set(&path, files).expect("a file");
        }
    }
    set(directory, directories).expect("a directory");
}

#[test]
fn it_is_read_and_signs_and_does_not_change() {
    let fails = Fails("what can not be written is CKR_GENERAL_ERROR");
    let rows = [("left by C_Finalize", fails, End::Tidy), ("left by a kill", fails, End::Killed)];
    table(&rows, |world, end| {
        let module = world.module();
        let state = make_full_token(world, *end);
        let mut read_only = None;
        world.without_daemon(|| {
            read_only = Some(ReadOnly::new(store(world)));
            obey_permissions();
        });
        if !read_only.as_ref().is_some_and(ReadOnly::holds) {
            not_run("permissions keep nobody here from writing");
        }
        initialize(module);
        // Looking at a key pair is signing with it.
        let found = look_as_user(module, &state).expect("the token");
        assert_eq!(found.things(), state.things());
        assert_eq!(module.finalize(), Rv::OK, "C_Finalize");

        initialize(module);
        let mut actor = Actor::start(module, state.clone()).expect("the token");
        let mut dice = Dice::new(4);
        for (call, wish) in OBJECT_WISHES {
            let change = actor.state.change(&mut dice, *wish);
            let refused = actor.act(&change, |_| ()).expect_err(call);
            assert!(refused.ends_with("CKR_TOKEN_WRITE_PROTECTED"), "{refused}");
            assert_eq!(things(&actor.session).as_ref(), Ok(state.things()), "after {call}");
        }
        count("a store that nobody may write: changes refused", OBJECT_WISHES.len());
        assert_eq!(module.finalize(), Rv::OK, "C_Finalize");

        world.without_daemon(|| drop(read_only));
        initialize(module);
        let mut actor = Actor::start(module, state).expect("the token");
        for (call, wish) in OBJECT_WISHES {
            let change = actor.state.change(&mut dice, *wish);
            assert_eq!(actor.act(&change, |_| ()), Ok(()), "{call}, when it may be written again");
        }
    });
}
