! SPDX-License-Identifier: BSD-3-Clause
! Every one-sided call of MPI-3.1 from Fortran, by one of its three interfaces: compile with
! -DUSE_MPIF_H, -DUSE_MPI or -DUSE_MPI_F08. What arrives is checked; ends with code 1 if
! anything is wrong.
#if defined(USE_MPI_F08)
#define HANDLE(kind) type(kind)
#define STATUS type(MPI_Status)
#define INTERFACE_NAME "use mpi_f08"
#else
#define HANDLE(kind) integer
#define STATUS integer, dimension(MPI_STATUS_SIZE)
#if defined(USE_MPI)
#define INTERFACE_NAME "use mpi"
#else
#define INTERFACE_NAME "mpif.h"
#endif
#endif

module checks
    implicit none
    integer :: wrong = 0, me = 0
contains
    subroutine check(ok, what)
        logical, intent(in) :: ok
        character(*), intent(in) :: what

        if (ok) return
        wrong = wrong + 1
        if (wrong <= 5) write (0, '(3a,i0)') '# ', what, ', rank ', me
    end subroutine
end module

program rma
    use, intrinsic :: iso_c_binding
    use checks
#if defined(USE_MPI_F08)
    use mpi_f08
#elif defined(USE_MPI)
    use mpi
#endif
    implicit none
#if defined(USE_MPIF_H)
    include 'mpif.h'
    integer(MPI_ADDRESS_KIND), external :: MPI_Aint_add
#endif
    integer, parameter :: n = 64
    integer :: ranks, up, down, ierr, total
    integer(MPI_ADDRESS_KIND) :: bytes

    call MPI_Init(ierr)
    call MPI_Comm_rank(MPI_COMM_WORLD, me, ierr)
    call MPI_Comm_size(MPI_COMM_WORLD, ranks, ierr)
    up = mod(me + 1, ranks)
    down = mod(me + ranks - 1, ranks)
    bytes = 8*n

    call created_window
    call allocated_window
    call shared_window
    call dynamic_window
    call accumulates
    call requests
    call locks
    call pscw
    call types
    call attributes
    call errors

    call MPI_Allreduce(wrong, total, 1, MPI_INTEGER, MPI_SUM, MPI_COMM_WORLD, ierr)
    if (me == 0) print '(3a,i0,a)', 'Fortran, ', INTERFACE_NAME, ': ', total, ' wrong'
    call MPI_Finalize(ierr)
    if (total /= 0) stop 1

contains

    subroutine succeeded(what)
        character(*), intent(in) :: what

        call check(ierr == MPI_SUCCESS, what//' failed')
    end subroutine

    subroutine meet(win)
        HANDLE(MPI_Win), intent(in) :: win

        call MPI_Win_lock(MPI_LOCK_SHARED, me, 0, win, ierr)
        call MPI_Win_sync(win, ierr)
        call succeeded('MPI_Win_sync')
        call MPI_Win_unlock(me, win, ierr)
        call MPI_Barrier(MPI_COMM_WORLD, ierr)
        call MPI_Win_lock(MPI_LOCK_SHARED, me, 0, win, ierr)
        call MPI_Win_sync(win, ierr)
        call MPI_Win_unlock(me, win, ierr)
    end subroutine

    ! Put and get under fences.
    subroutine created_window
        real(c_double), asynchronous :: memory(n), out(n), in(n)
        integer(MPI_ADDRESS_KIND) :: place
        HANDLE(MPI_Win) :: win
        integer :: i

        memory = 0
        out = [(me*1000 + i, i=1, n)]
        call MPI_Win_create(memory, bytes, 8, MPI_INFO_NULL, MPI_COMM_WORLD, win, ierr)
        call succeeded('MPI_Win_create')
        call MPI_Win_fence(MPI_MODE_NOPRECEDE, win, ierr)
        call succeeded('MPI_Win_fence')
        place = 4
        call MPI_Put(out, n - 4, MPI_DOUBLE_PRECISION, up, place, n - 4, &
                     MPI_DOUBLE_PRECISION, win, ierr)
        call succeeded('MPI_Put')
        call MPI_Win_fence(0, win, ierr)
        call check(all(memory(5:) == [(down*1000 + i, i=1, n - 4)]), 'put')
        call check(all(memory(:4) == 0), 'beside put')
        place = 0
        call MPI_Get(in, n, MPI_DOUBLE_PRECISION, up, place, n, MPI_DOUBLE_PRECISION, win, &
                     ierr)
        call succeeded('MPI_Get')
        call MPI_Win_fence(MPI_MODE_NOSUCCEED, win, ierr)
        call check(all(in(5:) == out(:n - 4)), 'get')
        call MPI_Win_free(win, ierr)
        call succeeded('MPI_Win_free')
    end subroutine

    subroutine allocated_window
        real(c_double), pointer :: memory(:)
        real(c_double), asynchronous :: value
        integer(MPI_ADDRESS_KIND) :: place
        HANDLE(MPI_Win) :: win
        type(c_ptr) :: base

        call MPI_Win_allocate(bytes, 8, MPI_INFO_NULL, MPI_COMM_WORLD, base, win, ierr)
        call succeeded('MPI_Win_allocate')
        call c_f_pointer(base, memory, [n])
        memory = -1
        call meet(win)
        value = me + 0.5d0
        place = n/2
        call MPI_Win_lock(MPI_LOCK_EXCLUSIVE, up, 0, win, ierr)
        call succeeded('MPI_Win_lock')
        call MPI_Put(value, 1, MPI_DOUBLE_PRECISION, up, place, 1, MPI_DOUBLE_PRECISION, &
                     win, ierr)
        call MPI_Win_unlock(up, win, ierr)
        call succeeded('MPI_Win_unlock')
        call meet(win)
        call check(memory(n/2 + 1) == down + 0.5d0 .and. count(memory /= -1) == 1, &
                   'allocated window')
        call MPI_Win_free(win, ierr)
    end subroutine

    ! By MPI_COMM_SELF, so that it goes in whatever place.
    subroutine shared_window
        integer(c_int), pointer :: memory(:), queried(:)
        integer(MPI_ADDRESS_KIND) :: part, place
        HANDLE(MPI_Win) :: win
        type(c_ptr) :: base, again
        integer :: unit, value

        call MPI_Win_allocate_shared(bytes, 4, MPI_INFO_NULL, MPI_COMM_SELF, base, win, ierr)
        call succeeded('MPI_Win_allocate_shared')
        call MPI_Win_shared_query(win, 0, part, unit, again, ierr)
        call succeeded('MPI_Win_shared_query')
        call c_f_pointer(base, memory, [n])
        call c_f_pointer(again, queried, [n])
        call check(part == bytes .and. unit == 4, 'shared query')
        call MPI_Win_fence(0, win, ierr)
        place = 3
        value = 17
        call MPI_Put(value, 1, MPI_INTEGER, 0, place, 1, MPI_INTEGER, win, ierr)
        call MPI_Win_fence(0, win, ierr)
        call check(memory(4) == 17 .and. queried(4) == 17, 'shared window')
        call MPI_Win_free(win, ierr)
    end subroutine

    subroutine dynamic_window
        integer, target, asynchronous :: memory(n)
        integer(MPI_ADDRESS_KIND) :: address, theirs, place, part
        HANDLE(MPI_Win) :: win
        integer, asynchronous :: value

        memory = 0
        call MPI_Win_create_dynamic(MPI_INFO_NULL, MPI_COMM_WORLD, win, ierr)
        call succeeded('MPI_Win_create_dynamic')
        part = 4*n
        call MPI_Win_attach(win, memory, part, ierr)
        call succeeded('MPI_Win_attach')
        call MPI_Get_address(memory, address, ierr)
        call MPI_Sendrecv(address, 1, MPI_AINT, down, 1, theirs, 1, MPI_AINT, up, 1, &
                          MPI_COMM_WORLD, MPI_STATUS_IGNORE, ierr)
        call meet(win)
        call MPI_Win_lock_all(0, win, ierr)
        value = me*3
        place = MPI_Aint_add(theirs, 20_MPI_ADDRESS_KIND)
        call MPI_Put(value, 1, MPI_INTEGER, up, place, 1, MPI_INTEGER, win, ierr)
        call MPI_Win_flush(up, win, ierr)
        call succeeded('MPI_Win_flush')
        call MPI_Win_unlock_all(win, ierr)
        call meet(win)
        call check(memory(6) == down*3 .and. count(memory /= 0) <= 1, 'dynamic window')
        call MPI_Win_detach(win, memory, ierr)
        call succeeded('MPI_Win_detach')
        call MPI_Win_free(win, ierr)
    end subroutine

    subroutine accumulates
        integer, parameter :: rounds = 20
        integer(c_int), pointer :: memory(:)
        integer, asynchronous :: one, old, zero
        integer(MPI_ADDRESS_KIND) :: place
        HANDLE(MPI_Win) :: win
        type(c_ptr) :: base
        integer :: i

        call MPI_Win_allocate(bytes, 4, MPI_INFO_NULL, MPI_COMM_WORLD, base, win, ierr)
        call c_f_pointer(base, memory, [n])
        memory = 0
        call meet(win)
        one = 1
        zero = 0
        call MPI_Win_lock_all(MPI_MODE_NOCHECK, win, ierr)
        call succeeded('MPI_Win_lock_all')
        do i = 1, rounds
            place = 0
            call MPI_Accumulate(one, 1, MPI_INTEGER, 0, place, 1, MPI_INTEGER, MPI_SUM, win, &
                                ierr)
            place = 1
            call MPI_Fetch_and_op(one, old, MPI_INTEGER, 0, place, MPI_SUM, win, ierr)
            call MPI_Win_flush(0, win, ierr)
            call check(old >= i - 1 .and. old < rounds*ranks, 'fetch and op')
            place = 2
            call MPI_Get_accumulate(one, 1, MPI_INTEGER, old, 1, MPI_INTEGER, 0, place, 1, &
                                    MPI_INTEGER, MPI_SUM, win, ierr)
            call MPI_Win_flush_local_all(win, ierr)
            call succeeded('MPI_Win_flush_local_all')
            call check(old >= i - 1 .and. old < rounds*ranks, 'get accumulate')
        end do
        place = 3 + me
        call MPI_Compare_and_swap(one, zero, old, MPI_INTEGER, 0, place, win, ierr)
        call succeeded('MPI_Compare_and_swap')
        call MPI_Win_flush_all(win, ierr)
        call succeeded('MPI_Win_flush_all')
        call check(old == 0, 'compare and swap')
        call MPI_Win_unlock_all(win, ierr)
        call succeeded('MPI_Win_unlock_all')
        call meet(win)
        if (me == 0) then
            call check(all(memory(1:3) == rounds*ranks), 'sums')
            call check(all(memory(4:3 + ranks) == 1), 'swapped')
        end if
        call logical_and_pairs(win)
        call MPI_Win_free(win, ierr)
    end subroutine

    ! What only Fortran has.
    subroutine logical_and_pairs(win)
        HANDLE(MPI_Win), intent(in) :: win
        integer(MPI_ADDRESS_KIND) :: place
        logical, asynchronous :: yes, got
        integer, asynchronous :: pair(2), largest(2)

        yes = .true.
        pair = [me, 100 + me]
        call MPI_Win_fence(0, win, ierr)
        place = 40
        call MPI_Accumulate(yes, 1, MPI_LOGICAL, 0, place, 1, MPI_LOGICAL, MPI_LOR, win, ierr)
        call succeeded('MPI_Accumulate of logicals')
        place = 42
        call MPI_Accumulate(pair, 1, MPI_2INTEGER, 0, place, 1, MPI_2INTEGER, MPI_MAXLOC, &
                            win, ierr)
        call succeeded('MPI_Accumulate of pairs')
        call MPI_Win_fence(0, win, ierr)
        place = 40
        call MPI_Get(got, 1, MPI_LOGICAL, 0, place, 1, MPI_LOGICAL, win, ierr)
        place = 42
        call MPI_Get(largest, 2, MPI_INTEGER, 0, place, 2, MPI_INTEGER, win, ierr)
        call MPI_Win_fence(MPI_MODE_NOSUCCEED, win, ierr)
        call check(got, 'logical or')
        call check(largest(1) == ranks - 1, 'maxloc')
        if (ranks > 1) call check(largest(2) == 99 + ranks, 'the index of maxloc')
    end subroutine

    subroutine requests
        integer(c_int), pointer :: memory(:)
        integer, asynchronous :: value, got, old, two
        integer(MPI_ADDRESS_KIND) :: place
        HANDLE(MPI_Request) :: request
        HANDLE(MPI_Win) :: win
        STATUS :: stat
        type(c_ptr) :: base
        logical :: done

        call MPI_Win_allocate(bytes, 4, MPI_INFO_NULL, MPI_COMM_WORLD, base, win, ierr)
        call c_f_pointer(base, memory, [n])
        memory = 0
        call meet(win)
        place = 5
        value = me + 30
        two = 2
        call MPI_Win_lock(MPI_LOCK_SHARED, up, 0, win, ierr)
        call MPI_Rput(value, 1, MPI_INTEGER, up, place, 1, MPI_INTEGER, win, request, ierr)
        call succeeded('MPI_Rput')
        call MPI_Wait(request, stat, ierr)
        call succeeded('MPI_Wait')
        call MPI_Win_flush(up, win, ierr)
        call MPI_Raccumulate(two, 1, MPI_INTEGER, up, place, 1, MPI_INTEGER, MPI_PROD, win, &
                             request, ierr)
        call succeeded('MPI_Raccumulate')
        done = .false.
        do while (.not. done)
            call MPI_Test(request, done, stat, ierr)
        end do
        call MPI_Win_flush(up, win, ierr)
        call MPI_Rget(got, 1, MPI_INTEGER, up, place, 1, MPI_INTEGER, win, request, ierr)
        call succeeded('MPI_Rget')
        call MPI_Wait(request, MPI_STATUS_IGNORE, ierr)
        call check(got == 2*value, 'request-based put, accumulate and get')
        call MPI_Rget_accumulate(two, 1, MPI_INTEGER, old, 1, MPI_INTEGER, up, place, 1, &
                                 MPI_INTEGER, MPI_REPLACE, win, request, ierr)
        call succeeded('MPI_Rget_accumulate')
        call MPI_Wait(request, MPI_STATUS_IGNORE, ierr)
        call check(old == 2*value, 'request-based get accumulate')
        call MPI_Win_unlock(up, win, ierr)
        call meet(win)
        call check(memory(6) == 2, 'request-based replace')
        call MPI_Win_free(win, ierr)
    end subroutine

    ! Mutual exclusion: a counter that no atomic protects.
    subroutine locks
        integer, parameter :: rounds = 10
        integer(c_int), pointer :: memory(:)
        integer, asynchronous :: value
        integer(MPI_ADDRESS_KIND) :: place
        HANDLE(MPI_Win) :: win
        type(c_ptr) :: base
        integer :: i

        call MPI_Win_allocate(bytes, 4, MPI_INFO_NULL, MPI_COMM_WORLD, base, win, ierr)
        call c_f_pointer(base, memory, [n])
        memory = 0
        call meet(win)
        place = 7
        do i = 1, rounds
            call MPI_Win_lock(MPI_LOCK_EXCLUSIVE, 0, 0, win, ierr)
            call MPI_Get(value, 1, MPI_INTEGER, 0, place, 1, MPI_INTEGER, win, ierr)
            call MPI_Win_flush_local(0, win, ierr)
            call succeeded('MPI_Win_flush_local')
            value = value + 1
            call MPI_Put(value, 1, MPI_INTEGER, 0, place, 1, MPI_INTEGER, win, ierr)
            call MPI_Win_unlock(0, win, ierr)
        end do
        call meet(win)
        if (me == 0) call check(memory(8) == rounds*ranks, 'exclusive locks')
        call MPI_Barrier(MPI_COMM_WORLD, ierr)
        call MPI_Win_free(win, ierr)
    end subroutine

    subroutine pscw
        integer(c_int), pointer :: memory(:)
        integer, asynchronous :: value
        integer(MPI_ADDRESS_KIND) :: place
        HANDLE(MPI_Group) :: everybody, origin, aim
        HANDLE(MPI_Win) :: win
        type(c_ptr) :: base
        logical :: done
        integer :: i

        call MPI_Win_allocate(bytes, 4, MPI_INFO_NULL, MPI_COMM_WORLD, base, win, ierr)
        call c_f_pointer(base, memory, [n])
        memory = 0
        call MPI_Win_get_group(win, everybody, ierr)
        call succeeded('MPI_Win_get_group')
        call MPI_Group_incl(everybody, 1, [down], origin, ierr)
        call MPI_Group_incl(everybody, 1, [up], aim, ierr)
        place = 9
        do i = 1, 6
            value = i*100 + me
            call MPI_Win_post(origin, 0, win, ierr)
            call succeeded('MPI_Win_post')
            call MPI_Win_start(aim, 0, win, ierr)
            call succeeded('MPI_Win_start')
            call MPI_Put(value, 1, MPI_INTEGER, up, place, 1, MPI_INTEGER, win, ierr)
            call MPI_Win_complete(win, ierr)
            call succeeded('MPI_Win_complete')
            done = mod(i, 2) == 0
            if (done) call MPI_Win_wait(win, ierr)
            do while (.not. done)
                call MPI_Win_test(win, done, ierr)
            end do
            call succeeded('MPI_Win_wait or test')
            call check(memory(10) == i*100 + down, 'post, start, complete, wait')
        end do
        call MPI_Group_free(everybody, ierr)
        call MPI_Group_free(origin, ierr)
        call MPI_Group_free(aim, ierr)
        call MPI_Barrier(MPI_COMM_WORLD, ierr)
        call MPI_Win_free(win, ierr)
    end subroutine

    ! Sections of arrays, by a type; and by f08's descriptors, where there are some.
    subroutine types
        integer, parameter :: rows = 8
        integer, asynchronous :: memory(rows, rows), out(rows)
        integer(MPI_ADDRESS_KIND) :: place, part
        HANDLE(MPI_Datatype) :: row
        HANDLE(MPI_Win) :: win
        integer :: i

        memory = 0
        out = [(me*100 + i, i=1, rows)]
        part = 4*rows*rows
        call MPI_Win_create(memory, part, 4, MPI_INFO_NULL, MPI_COMM_WORLD, win, ierr)
        call MPI_Type_vector(rows, 1, rows, MPI_INTEGER, row, ierr)
        call MPI_Type_commit(row, ierr)
        place = 2
        call MPI_Win_fence(0, win, ierr)
        call MPI_Put(out, rows, MPI_INTEGER, up, place, 1, row, win, ierr)
        call succeeded('MPI_Put of a type')
        call MPI_Type_free(row, ierr)
        call MPI_Win_fence(MPI_MODE_NOSUCCEED, win, ierr)
        call check(all(memory(3, :) == [(down*100 + i, i=1, rows)]), 'a row')
        call check(count(memory /= 0) == rows, 'beside the row')
#if defined(USE_MPI_F08)
        if (MPI_SUBARRAYS_SUPPORTED) call sections(win, memory)
#endif
        call MPI_Win_free(win, ierr)
    end subroutine

#if defined(USE_MPI_F08)
    subroutine sections(win, memory)
        type(MPI_Win), intent(in) :: win
        integer, intent(inout), asynchronous :: memory(:, :)
        integer, asynchronous :: out(16)
        integer(MPI_ADDRESS_KIND) :: place
        integer :: i

        out = [(me*1000 + i, i=1, 16)]
        place = 8
        call MPI_Win_fence(0, win, ierr)
        call MPI_Put(out(1:16:2), 8, MPI_INTEGER, up, place, 8, MPI_INTEGER, win, ierr)
        call succeeded('MPI_Put of a section')
        call MPI_Win_fence(MPI_MODE_NOSUCCEED, win, ierr)
        call check(all(memory(:, 2) == [(down*1000 + i, i=1, 16, 2)]), 'a section')
    end subroutine
#endif

    subroutine attributes
        integer, asynchronous :: memory(n)
        integer(MPI_ADDRESS_KIND) :: value, address, part, set
        HANDLE(MPI_Win) :: win
        HANDLE(MPI_Info) :: info
        character(MPI_MAX_OBJECT_NAME) :: name
        character(10) :: hint
        integer :: key, length
        logical :: found

        part = 4*n
        call MPI_Info_create(info, ierr)
        call MPI_Info_set(info, 'same_size', 'true', ierr)
        call MPI_Win_create(memory, part, 4, info, MPI_COMM_WORLD, win, ierr)
        call MPI_Info_free(info, ierr)
        call MPI_Win_get_attr(win, MPI_WIN_SIZE, value, found, ierr)
        call succeeded('MPI_Win_get_attr')
        call check(found .and. value == part, 'the size')
        call MPI_Win_get_attr(win, MPI_WIN_DISP_UNIT, value, found, ierr)
        call check(found .and. value == 4, 'the displacement unit')
        call MPI_Get_address(memory, address, ierr)
        call MPI_Win_get_attr(win, MPI_WIN_BASE, value, found, ierr)
        call check(found .and. value == address, 'the base')
        call MPI_Win_get_attr(win, MPI_WIN_CREATE_FLAVOR, value, found, ierr)
        call check(found .and. value == MPI_WIN_FLAVOR_CREATE, 'the flavor')
        call MPI_Win_get_attr(win, MPI_WIN_MODEL, value, found, ierr)
        call check(found .and. value == MPI_WIN_UNIFIED, 'the memory model')
        call MPI_Win_create_keyval(MPI_WIN_NULL_COPY_FN, MPI_WIN_NULL_DELETE_FN, key, &
                                   0_MPI_ADDRESS_KIND, ierr)
        set = 4242 + me
        call MPI_Win_set_attr(win, key, set, ierr)
        call succeeded('MPI_Win_set_attr')
        call MPI_Win_get_attr(win, key, value, found, ierr)
        call check(found .and. value == set, 'an attribute')
        call MPI_Win_delete_attr(win, key, ierr)
        call MPI_Win_get_attr(win, key, value, found, ierr)
        call check(.not. found, 'a deleted attribute')
        call MPI_Win_free_keyval(key, ierr)
        call MPI_Win_set_name(win, 'pressure', ierr)
        call MPI_Win_get_name(win, name, length, ierr)
        call check(length == 8 .and. name == 'pressure', 'the name')
        call MPI_Win_get_info(win, info, ierr)
        call succeeded('MPI_Win_get_info')
        call MPI_Info_get(info, 'same_size', 10, hint, found, ierr)
        call check(found .and. hint == 'true', 'a hint')
        call MPI_Win_set_info(win, info, ierr)
        call succeeded('MPI_Win_set_info')
        call MPI_Info_free(info, ierr)
        call MPI_Win_free(win, ierr)
    end subroutine

    subroutine errors
        integer, asynchronous :: memory(n), value
        integer(MPI_ADDRESS_KIND) :: place, part
        HANDLE(MPI_Win) :: win
        HANDLE(MPI_Errhandler) :: handler
        integer :: code, class

        part = 4*n
        place = 0
        value = 1
        call MPI_Win_create(memory, part, 4, MPI_INFO_NULL, MPI_COMM_WORLD, win, ierr)
        call MPI_Win_set_errhandler(win, MPI_ERRORS_RETURN, ierr)
        call MPI_Win_get_errhandler(win, handler, ierr)
        call check(handler == MPI_ERRORS_RETURN, 'the error handler')
        call MPI_Put(value, 1, MPI_INTEGER, ranks, place, 1, MPI_INTEGER, win, code)
        call MPI_Error_class(code, class, ierr)
        call check(class == MPI_ERR_RANK .or. class == MPI_ERR_RMA_SYNC, 'a wrong rank')
        call MPI_Win_unlock(up, win, code)
        call MPI_Error_class(code, class, ierr)
        call check(class == MPI_ERR_RMA_SYNC, 'unlock without lock')
        call MPI_Win_flush(up, win, code)
        call MPI_Error_class(code, class, ierr)
        call check(class == MPI_ERR_RMA_SYNC, 'flush without lock')
        call MPI_Put(value, 1, MPI_INTEGER, MPI_PROC_NULL, place, 1, MPI_INTEGER, win, code)
        call MPI_Barrier(MPI_COMM_WORLD, ierr)
        call MPI_Win_free(win, ierr)
    end subroutine
end program
