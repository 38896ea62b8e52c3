//! The table of sessions.

use loom::thread;
use strongroom_types::{Error, SessionHandle};

use crate::every_order;
use crate::sessions::Sessions;
use crate::sync::Arc;

/// Two threads close one session, and one of them opens another: one of the two is told that it has
/// closed it, and no handle comes again.
pub fn a_session_is_closed_once() {
    every_order(|| {
        let sessions = Arc::new(Sessions::after(0));
        let first = sessions.open(|handle| handle);
        let closes = move |sessions: &Sessions<SessionHandle>| sessions.close(first).is_ok();
        let other = {
            let sessions = Arc::clone(&sessions);
            thread::spawn(move || {
                let next = sessions.open(|handle| handle);
                assert_eq!(sessions.find(next).map(|found| *found), Ok(next));
                (closes(&sessions), next)
            })
        };
        let closed = closes(&sessions);
        assert_eq!(sessions.find(first).err(), Some(Error::SessionHandleInvalid));
        let last = sessions.open(|handle| handle);
        let Ok((too, next)) = other.join() else { unreachable!("a thread panicked") };
        assert!(closed != too, "closed by one");
        assert!(first != next && first != last && next != last);
        assert!(sessions.find(next).is_ok() && sessions.find(last).is_ok());
    });
}

/// Who looks at all sessions while others come and go sees those that stay; as a logout does, which
/// must miss none.
pub fn who_looks_at_all_sees_each_session() {
    every_order(|| {
        let sessions = Arc::new(Sessions::after(0));
        let stays = sessions.open(|handle| handle);
        let goes = sessions.open(|handle| handle);
        let other = {
            let sessions = Arc::clone(&sessions);
            thread::spawn(move || {
                assert!(sessions.close(goes).is_ok());
                sessions.open(|handle| handle)
            })
        };
        let seen = sessions.that(|_| true);
        assert!(seen.iter().any(|session| **session == stays));
        let Ok(came) = other.join() else { unreachable!("a thread panicked") };
        let seen: Vec<_> = sessions.that(|_| true).iter().map(|session| **session).collect();
        assert!(seen.len() == 2 && seen.contains(&stays) && seen.contains(&came));
        assert!(!sessions.is_empty());
    });
}
