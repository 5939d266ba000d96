//! Ring buffers, whose memory is mapped twice in a row.

use super::*;

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_ring_behaves_like_a_queue(
        steps in prop::collection::vec((any::<bool>(), 0usize..3 * 4096), 1..60),
        capacity in 1usize..3 * 4096,
    ) {
        let mut ring = Ring::new(capacity).unwrap();
        let capacity = capacity.next_multiple_of(page_size());
        prop_assert_eq!(ring.capacity(), capacity);
        let (mut model, mut next) = (VecDeque::new(), 0u32);
        for (write, count) in steps {
            if write {
                // Numbers that differ from round to round.
                let bytes: Vec<u8> = (0..count).map(|_| { next += 1; (next % 251) as u8 }).collect();
                let written = ring.push(&bytes);
                prop_assert_eq!(written, count.min(capacity - model.len()));
                model.extend(&bytes[..written]);
            } else {
                let count = count.min(model.len());
                ring.consume(count);
                model.drain(..count);
            }
            prop_assert_eq!((ring.len(), ring.is_empty()), (model.len(), model.is_empty()));
            prop_assert!(ring.readable() == model.make_contiguous());
            prop_assert_eq!(ring.writable().len(), capacity - model.len());
        }
    }
}

#[test]
fn a_ring_maps_one_file_twice() {
    let ring = Ring::new(1).unwrap();
    let maps = mappings(ring.readable().as_ptr(), 2 * page_size());
    assert_eq!(maps.len(), 2);
    for (range, permissions, name) in &maps {
        let _case = case!(range, permissions, name);
        assert_eq!(range.len(), page_size());
        assert_eq!((permissions.as_str(), name.as_str()), ("rw-s", "/memfd:ring"));
        let start = ptr::without_provenance(range.start);
        assert!(flagged(start, "dc"), "a child would have it");
    }
}

#[test]
fn a_ring_of_zero_bytes_is_empty() {
    let mut ring = Ring::new(0).unwrap();
    assert_eq!((ring.capacity(), ring.push(b"some"), ring.readable()), (0, 0, &[][..]));
    assert!(ring.writable().is_empty());
    ring.consume(0);
    ring.produce(0);
    fails(Ring::new(isize::MAX as usize), Errno::EOVERFLOW);
    fails(Ring::new(usize::MAX), Errno::EOVERFLOW);
}

#[test]
#[should_panic = "more consumed than there is"]
fn consuming_more_than_is_readable_panics() {
    let mut ring = Ring::new(1).unwrap();
    ring.push(b"12");
    ring.consume(3);
}

#[test]
#[should_panic = "more produced than there is room"]
fn producing_more_than_is_free_panics() {
    let mut ring = Ring::new(1).unwrap();
    ring.push(b"12");
    ring.produce(ring.capacity() - 1);
}

#[test]
fn a_child_does_not_inherit_a_ring() {
    let page = page_size();
    let mut ring = Ring::new(1).unwrap();
    ring.push(b"parent's");
    let bytes = ring.readable().as_ptr();
    // SAFETY: the fault is wanted.
    faults(|| unsafe { _ = bytes.read_volatile() });
    let mut ring = mem::ManuallyDrop::new(ring);
    in_child(|| {
        // Another mapping has taken the addresses, and is not unmapped with the ring.
        let flags = MapFlags::PRIVATE | MapFlags::ANONYMOUS;
        let (wish, prot) = (bytes.cast_mut(), ProtFlags::READ | ProtFlags::WRITE);
        // SAFETY: a wish replaces nothing.
        match unsafe { syscall::mmap(wish, 2 * page, prot, flags, None, 0) } {
            Ok(other) if other == wish => {}
            other => {
                other?;
                return Err(Failure::new("the hint is not taken"));
            }
        }
        // SAFETY: just mapped; the ring is not used again in the copy.
        unsafe {
            wish.write(99);
            mem::ManuallyDrop::drop(&mut ring);
        }
        check!(whole(bytes, 2 * page));
        // SAFETY: mapped.
        check!(unsafe { wish.read_volatile() } == 99);
        Ok(())
    });
    assert_eq!(ring.readable(), b"parent's");
    mem::ManuallyDrop::into_inner(ring).consume(1);
}
