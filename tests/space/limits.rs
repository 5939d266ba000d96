//! Limits of a process: its address space, its data and the number of its mappings.

use super::*;

#[test]
fn exceeding_a_limit_is_an_error_without_effect() {
    let page = page_size();
    let size = 64 << 20;
    let mut part = Reservation::new(size).unwrap();
    part.commit(0..page).unwrap()[0] = 1;
    let part = &mut part;
    let base = part.as_ptr();
    let file = numbered(4);

    in_child(|| {
        let limit = Rlimit { current: in_use(0) + (8 << 20), maximum: u64::MAX };
        syscall::prlimit(0, Resource::AS, Some(limit))?;
        check!(Reservation::new(size).map_err(errno).err() == Some(Errno::ENOMEM));
        // Reserved addresses already count.
        let bytes = part.commit(0..size)?;
        check!(bytes[0] == 1);
        // The map is made at another address first, for which there is no room, so that nothing has
        // changed.
        let map = MmapOptions::new().len(16 << 20).map_raw(&file);
        check!(map.map_err(errno).err() == Some(Errno::ENOMEM));
        part.decommit(page..size)?;
        check!(whole(base, size));
        Ok(())
    });

    in_child(|| {
        let limit = Rlimit { current: in_use(5) + (8 << 20), maximum: u64::MAX };
        syscall::prlimit(0, Resource::DATA, Some(limit))?;
        check!(part.commit(0..size).map_err(errno).err() == Some(Errno::ENOMEM));
        check!(whole(base, size));
        let bytes = part.commit(0..4 << 20)?;
        check!(bytes[0] == 1);
        Ok(())
    });
}

/// At the limit on the number of mappings, every call fails and leaves its argument unchanged.
#[test]
fn the_limit_on_mappings_is_an_error_without_effect() {
    let page = page_size();
    let most: usize =
        fs::read_to_string("/proc/sys/vm/max_map_count").unwrap().trim().parse().unwrap();
    let mut fill = Reservation::new((2 * most + 100) * page).unwrap();
    let mut part = Reservation::new(8 * page).unwrap();
    part.commit(0..8 * page).unwrap().fill(3);
    let file = numbered(2);
    in_child(|| {
        let map = MmapOptions::new().map_raw(&file)?;
        let mut refused = None;
        for number in 0..most {
            if let Err(error) = fill.commit(2 * number * page..(2 * number + 1) * page) {
                refused = Some(errno(error));
                break;
            }
        }
        check!(refused == Some(Errno::ENOMEM));
        check!(part.decommit(page..2 * page).map_err(errno).err() == Some(Errno::ENOMEM));
        check!(whole(part.as_ptr(), 8 * page));
        let error = match Placed::new(map, &mut part, 3 * page) {
            Ok(_) => return Err(Failure::new("a map is placed")),
            Err(error) => error,
        };
        check!(error.errno() == Errno::ENOMEM);
        let (map, part) = error.into_inner();
        check!(whole(part.as_ptr(), 8 * page));
        // SAFETY: inside the map.
        check!(unsafe { map.as_ptr().read() } == 1);
        drop(fill);
        // The call succeeds when other mappings have gone.
        let placed = Placed::new(map, &mut *part, 3 * page)?;
        drop(placed);
        let bytes = part.commit(0..8 * page)?;
        check!((bytes[0], bytes[3 * page], bytes[7 * page]) == (3, 0, 3));
        Ok(())
    });
}
