DELETE FROM public.chats AS c USING emptied_chats AS e WHERE c.id = e.chat_id
