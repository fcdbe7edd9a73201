//! A small allocator: free lists by power of two over memory that only grows.
//!
//! The published allocators cost 0.6 to 1.8 KB in every page (docs/adr/0002-tracker-dependencies.md);
//! the tracker allocates short texts of a few sizes, which this serves well.

use core::alloc::{GlobalAlloc, Layout};
use core::cell::UnsafeCell;
use core::ptr::null_mut;

const PAGE_BYTES: usize = 65_536;
/// Blocks are 8 bytes or larger: a free one holds the address of the next.
const SMALLEST_BITS: u32 = 3;

struct PowersOfTwo(UnsafeCell<Lists>);

struct Lists {
    free: [*mut u8; 32],
    /// Memory between these has never been used.
    fresh: usize,
    end: usize,
}

#[global_allocator]
static ALLOCATOR: PowersOfTwo =
    PowersOfTwo(UnsafeCell::new(Lists { free: [null_mut(); 32], fresh: 0, end: 0 }));

fn block_bits(layout: Layout) -> u32 {
    let bytes = layout.size().max(layout.align());
    (usize::BITS - (bytes - 1).leading_zeros()).max(SMALLEST_BITS)
}

impl Lists {
    /// Takes `bytes` (a power of two) of memory that was never used; null where there is none to be had.
    fn fresh_block(&mut self, bytes: usize) -> *mut u8 {
        let mut start = self.fresh.next_multiple_of(bytes);
        if start + bytes > self.end {
            let pages = (bytes * 2).div_ceil(PAGE_BYTES);
            let pages_before = core::arch::wasm32::memory_grow::<0>(pages);
            if pages_before == usize::MAX {
                return null_mut();
            }
            // What lies behind may be the glue's: then the rest of what we had stays unused.
            self.end = (pages_before + pages) * PAGE_BYTES;
            start = (pages_before * PAGE_BYTES).next_multiple_of(bytes);
        }
        self.fresh = start + bytes;
        start as *mut u8
    }
}

#[expect(unsafe_code, reason = "a page has one thread: the tracker is built without atomics")]
unsafe impl Sync for PowersOfTwo {}

#[expect(unsafe_code, reason = "GlobalAlloc is an unsafe trait; an allocator hands out raw memory")]
// SAFETY: a block is either in one list or handed out once; blocks are aligned to their size, and the
// lists are touched by one thread only.
unsafe impl GlobalAlloc for PowersOfTwo {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let bits = block_bits(layout);
        // SAFETY: no other reference to the lists exists while an allocation is made.
        let lists = unsafe { &mut *self.0.get() };
        let head = &mut lists.free[bits as usize & 31];
        if !head.is_null() {
            let block = *head;
            // SAFETY: a free block holds the address of the next one.
            *head = unsafe { *block.cast::<*mut u8>() };
            return block;
        }
        lists.fresh_block(1 << bits)
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: as in `alloc`; the block came from there with the same layout, so it has the room.
        unsafe {
            let lists = &mut *self.0.get();
            let head = &mut lists.free[block_bits(layout) as usize & 31];
            *block.cast::<*mut u8>() = *head;
            *head = block;
        }
    }
}
