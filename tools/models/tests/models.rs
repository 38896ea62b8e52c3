//! Runs the models.

macro_rules! models {
    ($($name:ident)*) => {
        $(#[test]
        fn $name() {
            strongroom_models::$name();
        })*
    };
}

models! {
    a_changed_object_is_read_again
    a_killed_writer_leaves_nothing_stale
    a_session_is_closed_once
    an_acknowledged_commit_is_seen
    commits_that_overlap_are_seen
    nothing_is_remembered_after_a_logout
    who_looks_at_all_sees_each_session
}
