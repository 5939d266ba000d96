//! The random operations.

use super::*;

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    Shared,
    SharedMut,
    Copy,
    CopyReadOnly,
    Raw,
    RawReadOnly,
    Memory,
}

#[derive(Clone, Copy, Debug)]
pub enum How {
    Sync,
    Async,
    /// Flushes while this page of the map is locked, which shows where the call arrives.
    Invalidate(usize),
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum To {
    ReadOnly,
    Exec,
    Mut,
}

#[derive(Clone, Debug)]
pub enum Step {
    // Operations on the file by its descriptor.
    WriteFile { at: usize, bytes: Bytes },
    Truncate { len: usize },

    // Operations on a map. Ranges may reach past its end.
    Map { map: usize, kind: Kind, offset: usize, len: Option<usize>, read_only: bool },
    Write { map: usize, at: usize, bytes: Bytes, by_slice: bool },
    Flush { map: usize, range: Option<(usize, usize)>, how: How },
    Remap { map: usize, len: usize, may_move: bool },
    Protect { map: usize, to: To, by_try: bool },
    IntoRaw { map: usize },
    Advise { map: usize, at: usize, len: usize, advice: Advice },
    DontNeed { map: usize, at: usize, len: usize },
    Lock { map: usize },

    // Operations on a `FileMap`.
    Open { map: usize, start: usize, len: Option<usize>, read_only: bool },
    Refresh { map: usize },
    SetLen { map: usize, len: usize },
    ReadAt { map: usize, at: usize, len: usize },
    WriteAt { map: usize, at: usize, bytes: Bytes },
    Fill { map: usize, at: usize, len: usize, byte: u8 },
    CopyTo { map: usize, at: usize, to: usize, to_at: usize, len: usize },
    Find { map: usize, byte: u8, at: usize },
    Slice { map: usize, at: usize, len: usize, truncate: Option<usize>, backwards: bool },
    SliceMut { map: usize, at: usize, bytes: Bytes },
    FlushAndAdvise { map: usize, advice: Advice },
}

/// A number of bytes of the noise, from an index on.
#[derive(Clone, Copy, Debug)]
pub struct Bytes(pub usize, pub usize);

impl Bytes {
    pub fn get(self) -> &'static [u8] {
        static NOISE: LazyLock<Vec<u8>> = LazyLock::new(|| {
            (0..SIZE + 256).map(|index| ((index * index + index / 251) % 255) as u8 + 1).collect()
        });
        &NOISE[self.0..][..self.1]
    }
}

/// Returns an offset in a file or a map, often near a page boundary.
pub fn place() -> impl Strategy<Value = usize> + Clone {
    let edge = (0..=SIZE / PAGE, 0..5usize);
    let edge = edge.prop_map(|(page, by)| (page * PAGE + by).saturating_sub(2).min(SIZE));
    prop_oneof![1 => 0..=SIZE, 2 => edge]
}

pub fn bytes() -> impl Strategy<Value = Bytes> + Clone {
    (0..256usize, length()).prop_map(|(from, len)| Bytes(from, len))
}

pub fn length() -> impl Strategy<Value = usize> + Clone {
    prop_oneof![0..100usize, place()]
}

pub fn kind() -> impl Strategy<Value = Kind> {
    use Kind::*;
    let all = [Shared, SharedMut, Copy, CopyReadOnly, Raw, RawReadOnly, Memory];
    proptest::sample::select(all.to_vec())
}

pub fn advice() -> impl Strategy<Value = Advice> {
    use Advice::*;
    let harmless = [WillNeed, Cold, PageOut, KeepOnFork];
    let kept = [Normal, Random, Sequential, DontFork, DoFork, DontDump, DoDump];
    let now = [PopulateRead, PopulateWrite, PopulateRead, PopulateWrite];
    proptest::sample::select([&harmless[..], &kept, &now].concat())
}

pub fn step() -> impl Strategy<Value = Step> {
    use Step::*;
    let map = || 0..MAPS;
    let flush =
        prop_oneof![Just(How::Sync), Just(How::Async), (0..SIZE / PAGE).prop_map(How::Invalidate),];
    let protect = proptest::sample::select([To::ReadOnly, To::Exec, To::Mut].to_vec());
    let file = prop_oneof![
        3 => (place(), bytes()).prop_map(|(at, bytes)| WriteFile { at, bytes }),
        2 => place().prop_map(|len| Truncate { len }),
    ];
    let maps = prop_oneof![
        4 => (map(), kind(), place(), option::of(length()), prop::bool::weighted(0.2)).prop_map(
            |(map, kind, offset, len, read_only)| Map { map, kind, offset, len, read_only }
        ),
        4 => (map(), place(), bytes(), any::<bool>())
            .prop_map(|(map, at, bytes, by_slice)| Write { map, at, bytes, by_slice }),
        2 => (map(), option::of((place(), length())), flush)
            .prop_map(|(map, range, how)| Flush { map, range, how }),
        2 => (map(), length(), any::<bool>())
            .prop_map(|(map, len, may_move)| Remap { map, len, may_move }),
        2 => (map(), protect, any::<bool>())
            .prop_map(|(map, to, by_try)| Protect { map, to, by_try }),
        1 => map().prop_map(|map| IntoRaw { map }),
        2 => (map(), place(), length(), advice())
            .prop_map(|(map, at, len, advice)| Advise { map, at, len, advice }),
        1 => (map(), place(), length()).prop_map(|(map, at, len)| DontNeed { map, at, len }),
        1 => map().prop_map(|map| Lock { map }),
    ];
    let map = || 0..FILE_MAPS;
    let hint = [Advice::Normal, Advice::Random, Advice::Sequential, Advice::WillNeed];
    let file_maps = prop_oneof![
        1 => (map(), place(), option::of(length()), prop::bool::weighted(0.2))
            .prop_map(|(map, start, len, read_only)| Open { map, start, len, read_only }),
        1 => map().prop_map(|map| Refresh { map }),
        1 => (map(), place()).prop_map(|(map, len)| SetLen { map, len }),
        2 => (map(), place(), length()).prop_map(|(map, at, len)| ReadAt { map, at, len }),
        2 => (map(), place(), bytes()).prop_map(|(map, at, bytes)| WriteAt { map, at, bytes }),
        2 => (map(), place(), length(), any::<u8>())
            .prop_map(|(map, at, len, byte)| Fill { map, at, len, byte }),
        5 => (map(), place(), map(), place(), length())
            .prop_map(|(map, at, to, to_at, len)| CopyTo { map, at, to, to_at, len }),
        1 => (map(), any::<u8>(), place()).prop_map(|(map, byte, at)| Find { map, byte, at }),
        4 => (map(), place(), length(), option::of(0..=SIZE / PAGE), any::<bool>()).prop_map(
            |(map, at, len, pages, backwards)| {
                Slice { map, at, len, truncate: pages.map(|n| n * PAGE), backwards }
            }
        ),
        1 => (map(), place(), bytes()).prop_map(|(map, at, bytes)| SliceMut { map, at, bytes }),
        1 => (map(), proptest::sample::select(hint.to_vec()))
            .prop_map(|(map, advice)| FlushAndAdvise { map, advice }),
    ];
    prop_oneof![2 => file, 5 => maps, 4 => file_maps]
}
