//! Values by encoded key, in numbered slots. Only slots show outside, never the order of the table.

use hashbrown::{HashSet, HashTable};
use xxhash_rust::xxh3::xxh3_64;

/// Shared bytes of an encoded row or key.
pub(super) type Bytes = std::sync::Arc<[u8]>;

/// A key and its value, or nothing.
type Slot<V> = Option<(Box<[u8]>, V)>;

/// A map from encoded keys to values; a slot keeps its number until it is removed.
#[derive(Debug)]
pub(super) struct Keyed<V> {
    table: HashTable<u32>,
    slots: Vec<Slot<V>>,
    free: Vec<u32>,
    /// What is to be told; before the first telling nothing is kept, as then all is.
    changed: Option<Changed>,
}

/// What changed since it was told.
#[derive(Debug, Default)]
struct Changed {
    slots: Vec<u32>,
    /// Whether a slot is among them.
    is_in: Vec<bool>,
    /// Keys that were removed; some may be back.
    gone: HashSet<Box<[u8]>>,
}

impl<V> Keyed<V> {
    pub(super) fn new() -> Self {
        Self {
            table: HashTable::new(),
            slots: Vec::new(),
            free: Vec::new(),
            changed: None,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.table.len()
    }

    pub(super) fn find(&self, key: &[u8]) -> Option<u32> {
        let hash = xxh3_64(key);
        self.table
            .find(hash, |&slot| self.key(slot) == key)
            .copied()
    }

    pub(super) fn get(&self, key: &[u8]) -> Option<&V> {
        self.find(key).map(|slot| self.at(slot))
    }

    /// The slots of many keys, made where there are none. The table and the keys in it are mostly out of the
    /// processor's cache: each is looked at for all keys before the next is, so that memory answers many at a time.
    pub(super) fn slots_of<'k>(
        &mut self,
        count: usize,
        key: impl Fn(usize) -> &'k [u8],
        value: impl Fn() -> V,
    ) -> Vec<u32> {
        let hashes: Vec<u64> = (0..count).map(|index| xxh3_64(key(index))).collect();
        // The first slot of this hash, mostly the right one.
        let guess = |hash: &u64| self.table.find(*hash, |_| true).copied();
        let guesses: Vec<Option<u32>> = hashes.iter().map(guess).collect();
        let known = |guess: &Option<u32>| guess.map_or(&[][..], |slot| self.key(slot));
        let known: Vec<&[u8]> = guesses.iter().map(known).collect();
        let heads = known.iter().map(|known| known.first().copied());
        std::hint::black_box(heads.fold(0, |all, head| all ^ head.unwrap_or(0)));
        let is_it = |(index, known): (usize, &&[u8])| **known == *key(index);
        let right: Vec<bool> = known.iter().enumerate().map(is_it).collect();
        let slot = |index: usize| match guesses[index] {
            Some(slot) if right[index] => slot,
            _ => self.hashed_slot(hashes[index], key(index), &value).0,
        };
        (0..count).map(slot).collect()
    }

    /// The key's slot, made if there is none; and whether it was made.
    pub(super) fn slot(&mut self, key: &[u8], value: impl FnOnce() -> V) -> (u32, bool) {
        self.hashed_slot(xxh3_64(key), key, value)
    }

    fn hashed_slot(&mut self, hash: u64, key: &[u8], value: impl FnOnce() -> V) -> (u32, bool) {
        let slots = &self.slots;
        let same = |&slot: &u32| key_of(slots, slot) == key;
        let hash_of = |&slot: &u32| xxh3_64(key_of(slots, slot));
        let vacant = match self.table.entry(hash, same, hash_of) {
            hashbrown::hash_table::Entry::Occupied(found) => return (*found.get(), false),
            hashbrown::hash_table::Entry::Vacant(vacant) => vacant,
        };
        let content = Some((key.into(), value()));
        let slot = if let Some(slot) = self.free.pop() {
            self.slots[slot as usize] = content;
            slot
        } else {
            self.slots.push(content);
            u32::try_from(self.slots.len() - 1).expect("fewer than 2^32 keys in memory")
        };
        vacant.insert(slot);
        (slot, true)
    }

    pub(super) fn remove(&mut self, slot: u32) -> V {
        let (key, value) = self.slots[slot as usize].take().expect("the slot is taken");
        let hash = xxh3_64(&key);
        let entry = self.table.find_entry(hash, |&other| other == slot);
        entry.expect("a taken slot is in the table").remove();
        self.free.push(slot);
        if let Some(changed) = &mut self.changed {
            changed.gone.insert(key);
        }
        value
    }

    /// What a slot holds changed, or it was made.
    #[inline]
    pub(super) fn touch(&mut self, slot: u32) {
        let Some(changed) = &mut self.changed else {
            return;
        };
        if changed.is_in.len() < self.slots.len() {
            changed.is_in.resize(self.slots.len(), false);
        }
        if !std::mem::replace(&mut changed.is_in[slot as usize], true) {
            changed.slots.push(slot);
        }
    }

    /// From now on only what changes is kept: the rest has been told, or was loaded.
    pub(super) fn settle(&mut self) {
        self.changed.get_or_insert_default();
    }

    /// Tells the keys that changed since they were told last, each with its slot and value if it has one; the first
    /// time, all.
    pub(super) fn tell(&mut self, mut tell: impl FnMut(&[u8], Option<(u32, &V)>)) {
        let changed = self.changed.replace(Changed::default());
        let slots = u32::try_from(self.slots.len()).expect("fewer than 2^32 keys in memory");
        let mut tell_slot = |slot: u32| {
            if let Some((key, value)) = &self.slots[slot as usize] {
                tell(key, Some((slot, value)));
            }
        };
        let Some(changed) = changed else {
            (0..slots).for_each(tell_slot);
            return;
        };
        for &slot in &changed.slots {
            tell_slot(slot);
        }
        let gone = changed.gone.iter().filter(|key| self.find(key).is_none());
        gone.for_each(|key| tell(key, None));
    }

    pub(super) fn key(&self, slot: u32) -> &[u8] {
        key_of(&self.slots, slot)
    }

    pub(super) fn at(&self, slot: u32) -> &V {
        &self.slots[slot as usize]
            .as_ref()
            .expect("the slot is taken")
            .1
    }

    pub(super) fn at_mut(&mut self, slot: u32) -> &mut V {
        &mut self.slots[slot as usize]
            .as_mut()
            .expect("the slot is taken")
            .1
    }

    /// Every key with its value.
    pub(super) fn each(&self) -> impl Iterator<Item = (&[u8], &V)> {
        let taken = self.slots.iter().flatten();
        taken.map(|(key, value)| (key.as_ref(), value))
    }

    /// One more than the greatest slot.
    pub(super) fn slots(&self) -> usize {
        self.slots.len()
    }
}

fn key_of<V>(slots: &[Slot<V>], slot: u32) -> &[u8] {
    &slots[slot as usize]
        .as_ref()
        .expect("the table knows taken slots only")
        .0
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Goal: many keys at once get the slots that they get one by one, new ones and those that come twice, too.
        #[test]
        fn at_once(rounds in proptest::collection::vec(proptest::collection::vec(0_u8..60, 0..40), 1..6)) {
            let (mut at_once, mut plain) = (Keyed::new(), Keyed::new());
            for keys in &rounds {
                let slots = at_once.slots_of(keys.len(), |index| std::slice::from_ref(&keys[index]), || 0);
                let one_by_one: Vec<u32> = keys.iter().map(|key| plain.slot(&[*key], || 0).0).collect();
                prop_assert_eq!(&slots, &one_by_one);
                let gone: std::collections::BTreeSet<u32> = slots.into_iter().filter(|slot| slot % 3 == 0).collect();
                for slot in gone {
                    at_once.remove(slot);
                    plain.remove(slot);
                }
            }
        }
    }
}
