! SPDX-License-Identifier: BSD-3-Clause
! Coarrays, which OpenCoarrays puts on MPI's one-sided calls: a client of these that is not
! ours. Each part computes something whose result is known; ends with code 1 if one is wrong.
program coarray
    use, intrinsic :: iso_fortran_env
    implicit none
    integer, parameter :: n = 200
    integer :: image, images, next, before, wrong

    image = this_image()
    images = num_images()
    next = mod(image, images) + 1
    before = mod(image + images - 2, images) + 1
    wrong = 0

    call put_and_get
    call sections
    call allocatable_coarray
    call heat
    call reductions
    call counters
    call locked_counter
    call critical_counter
    call posted_events
    call pairwise

    call co_sum(wrong)
    if (image == 1) print '(a,i0,a,i0,a)', 'coarrays: ', images, ' images, ', wrong, ' wrong'
    if (wrong /= 0) error stop 1

contains

    subroutine check(ok, what)
        logical, intent(in) :: ok
        character(*), intent(in) :: what

        if (ok) return
        wrong = wrong + 1
        write (error_unit, '(3a,i0)') '# ', what, ', image ', image
    end subroutine

    subroutine put_and_get
        integer, save :: field(n)[*], got(n)
        integer :: i

        field = -1
        sync all
        field(:)[next] = [(image*1000 + i, i=1, n)]
        sync all
        call check(all(field == [(before*1000 + i, i=1, n)]), 'put')
        got = field(:)[before]
        call check(all(got == [(before_of(before)*1000 + i, i=1, n)]), 'get')
        sync all
        field(7)[next] = image
        sync all
        call check(field(7) == before, 'put of a scalar')
        sync all
    end subroutine

    pure integer function before_of(i)
        integer, intent(in) :: i

        before_of = mod(i + images - 2, images) + 1
    end function

    ! Strides on both sides, and a coarray of two dimensions.
    subroutine sections
        real(real64), save :: matrix(20, 20)[*]
        real(real64) :: row(20), out(40)
        integer :: i

        matrix = 0
        out = [(real(image*100 + i, real64), i=1, 40)]
        sync all
        matrix(3, :)[next] = out(1:40:2)
        sync all
        call check(all(matrix(3, :) == [(real(before*100 + i, real64), i=1, 40, 2)]), &
                   'put of a row')
        call check(count(matrix /= 0) == 20, 'beside the row')
        row = matrix(3, :)[next]
        call check(all(row == out(1:40:2)), 'get of a row')
        row = 0
        row(1:10) = matrix(3, 20:2:-2)[next]
        call check(all(row(1:10) == out(39:3:-4)), 'get of a row backwards')
        sync all
    end subroutine

    subroutine allocatable_coarray
        integer, allocatable :: part(:)[:]
        integer :: round

        do round = 1, 5
            allocate (part(round*50)[*])
            part = 0
            sync all
            part(round*50)[next] = round*10 + image
            sync all
            call check(part(round*50) == round*10 + before, 'allocatable coarray')
            call check(count(part /= 0) == 1, 'beside the element')
            deallocate (part)
        end do
    end subroutine

    ! Heat in a rod, of which each image has a piece; against one image's own computation.
    subroutine heat
        integer, parameter :: steps = 20
        real(real64), save :: rod(0:n + 1)[*]
        real(real64) :: old(0:n + 1)
        real(real64), allocatable :: whole(:), previous(:)
        integer :: i, step

        allocate (whole(0:n*images + 1), previous(0:n*images + 1))
        whole = 0
        whole(1:n*images) = [(mod(i*37, 101)/7.0_real64, i=1, n*images)]
        rod = whole((image - 1)*n:image*n + 1)
        sync all
        do step = 1, steps
            old = rod
            rod(1:n) = old(1:n) + 0.25_real64*(old(0:n - 1) - 2*old(1:n) + old(2:n + 1))
            previous = whole
            whole(1:n*images) = previous(1:n*images) + 0.25_real64* &
                (previous(0:n*images - 1) - 2*previous(1:n*images) + previous(2:n*images + 1))
            sync all
            if (image < images) rod(0)[image + 1] = rod(n)
            if (image > 1) rod(n + 1)[image - 1] = rod(1)
            sync all
        end do
        call check(maxval(abs(rod(1:n) - whole((image - 1)*n + 1:image*n))) < 1e-12_real64, &
                   'heat')
    end subroutine

    subroutine reductions
        integer :: total, largest, smallest, told
        real(real64) :: real_total(3)

        total = image
        call co_sum(total)
        call check(total == images*(images + 1)/2, 'co_sum')
        real_total = [1.0_real64, 0.5_real64*image, -2.0_real64]
        call co_sum(real_total)
        call check(real_total(1) == images .and. &
                   real_total(2) == 0.25_real64*images*(images + 1), 'co_sum of reals')
        largest = image*7
        call co_max(largest)
        smallest = image*7
        call co_min(smallest)
        call check(largest == images*7 .and. smallest == 7, 'co_max and co_min')
        told = merge(42, 0, image == 1)
        call co_broadcast(told, 1)
        call check(told == 42, 'co_broadcast')
    end subroutine

    subroutine counters
        integer, parameter :: rounds = 10
        integer(atomic_int_kind), save :: counter[*], word[*], old
        integer :: i

        counter = 0
        word = 0
        sync all
        do i = 1, rounds
            call atomic_add(counter[1], 1)
        end do
        call atomic_fetch_add(counter[1], 1, old) ! (OpenCoarrays 2.10 leaves old as it is)
        call atomic_cas(word[1], old, 0, image)
        sync all
        call atomic_ref(old, counter[1])
        call check(old == (rounds + 1)*images, 'atomic_add')
        call atomic_ref(old, word[1])
        call check(old >= 1 .and. old <= images, 'one atomic_cas')
        sync all
        call atomic_define(word[next], image*3)
        sync all
        call check(word == before*3, 'atomic_define')
        sync all
    end subroutine

    subroutine locked_counter
        integer, parameter :: rounds = 5
        type(lock_type), save :: mutex[*]
        integer, save :: counter[*]
        integer :: i

        counter = 0
        sync all
        do i = 1, rounds
            lock (mutex[1])
            counter[1] = counter[1] + 1
            unlock (mutex[1])
        end do
        sync all
        if (image == 1) call check(counter == rounds*images, 'lock')
        sync all
    end subroutine

    subroutine critical_counter
        integer, parameter :: rounds = 5
        integer, save :: counter[*]
        integer :: i

        counter = 0
        sync all
        do i = 1, rounds
            critical
                counter[images] = counter[images] + 2
            end critical
        end do
        sync all
        if (image == images) call check(counter == 2*rounds*images, 'critical')
        sync all
    end subroutine

    subroutine posted_events
        integer, parameter :: rounds = 5
        type(event_type), save :: full[*], empty[*]
        integer, save :: box[*]
        integer :: i, waiting

        sync all
        do i = 1, rounds
            if (i > 1) event wait (empty) ! the next image has read what was put before
            box[next] = i*100 + image
            event post (full[next])
            event wait (full)
            call check(box == i*100 + before, 'events')
            if (i < rounds) event post (empty[before])
        end do
        call event_query(full, waiting)
        call check(waiting == 0, 'event_query')
        sync all
    end subroutine

    subroutine pairwise
        integer, save :: box[*]
        integer :: i

        box = 0
        sync all
        do i = 1, 5
            if (image > 1) sync images (image - 1)
            if (image < images) then
                box[image + 1] = box + 1
                sync images (image + 1)
            end if
        end do
        sync all
        call check(box == image - 1, 'sync images')
    end subroutine
end program
