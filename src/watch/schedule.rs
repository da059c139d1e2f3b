//! Whose turn it is: a list of series, each with the instant of its next turn.

use std::collections::BTreeSet;

use hashbrown::HashMap;

use crate::series::{Key, Millis};

/// Orders turns by instant; those due together in the order in which they were listed.
type Turn = (Millis, u64, Key);

/// Turns of series.
#[derive(Debug, Default)]
pub(super) struct Schedule {
    turns: BTreeSet<Turn>,
    members: HashMap<Key, (Millis, u64)>,
    next: u64,
}

impl Schedule {
    /// From now on these take turns: who is new at once, in this order; who is not named never again.
    pub fn set_members(&mut self, members: &[Key]) {
        let mut before = std::mem::take(&mut self.members);
        self.turns.clear();
        for key in members {
            let turn = before.remove(key).unwrap_or_else(|| {
                self.next += 1;
                (Millis::MIN, self.next)
            });
            self.members.insert(key.clone(), turn);
            self.turns.insert((turn.0, turn.1, key.clone()));
        }
    }

    /// Who has been due longest, if anybody is.
    pub fn due(&self, now: Millis) -> Option<&Key> {
        self.turns.first().filter(|(at, ..)| *at <= now).map(|(.., key)| key)
    }

    /// The series' next turn is at `at`; nothing when it takes none.
    pub fn postpone(&mut self, key: &Key, at: Millis) {
        let Some(turn) = self.members.get_mut(key) else { return };
        self.turns.remove(&(turn.0, turn.1, key.clone()));
        turn.0 = at;
        self.turns.insert((at, turn.1, key.clone()));
    }

    /// Whether the series takes turns.
    pub fn has(&self, key: &Key) -> bool {
        self.members.contains_key(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_are_taken_in_order_and_end_with_membership() {
        let key = |name: &str| Key::from_pairs(name, &[]).unwrap();
        let (a, b, c) = (key("a"), key("b"), key("c"));
        let mut schedule = Schedule::default();
        assert_eq!(schedule.due(0), None);
        schedule.set_members(&[c.clone(), a.clone()]);
        assert_eq!(schedule.due(0), Some(&c), "newcomers in the order listed");
        schedule.postpone(&c, 10);
        assert_eq!(schedule.due(0), Some(&a));
        schedule.postpone(&a, 5);
        assert_eq!((schedule.due(4), schedule.due(5), schedule.due(20)), (None, Some(&a), Some(&a)));
        schedule.set_members(&[b.clone(), c.clone()]);
        assert_eq!(schedule.due(0), Some(&b));
        schedule.postpone(&b, 30);
        schedule.postpone(&a, 1);
        assert!(!schedule.has(&a));
        assert_eq!((schedule.due(9), schedule.due(10)), (None, Some(&c)), "who stays keeps the turn it had");
    }
}
